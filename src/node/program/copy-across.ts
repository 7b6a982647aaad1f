/**
 * Copies between the machine's files and a volume, and copies that ask a filter: no one call on
 * either side does them.
 *
 * @module
 */
import { constants } from "node:fs";
import type * as nodeFs from "node:fs";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";

type Calls = Pick<
  typeof nodeFs,
  | "chmodSync"
  | "existsSync"
  | "lstatSync"
  | "mkdirSync"
  | "readFileSync"
  | "readdirSync"
  | "readlinkSync"
  | "statSync"
  | "symlinkSync"
  | "unlinkSync"
  | "utimesSync"
  | "writeFileSync"
>;

/** Options of `cp` that are heeded. */
interface CopyOptions {
  readonly dereference?: boolean;
  readonly errorOnExist?: boolean;
  readonly filter?: (source: string, destination: string) => unknown;
  readonly force?: boolean;
  readonly preserveTimestamps?: boolean;
  readonly recursive?: boolean;
  readonly verbatimSymlinks?: boolean;
}

/** `copyFile` from one side to the other. @throws what reading or writing throws */
export function copyFileAcross(fs: Calls, args: readonly unknown[]): void {
  const [from, to, flags] = args as [string, string, number | undefined];
  const bytes = fs.readFileSync(from);
  const mode = fs.statSync(from).mode & 0o777;
  const flag = ((flags ?? 0) & constants.COPYFILE_EXCL) === 0 ? "w" : "wx";
  fs.writeFileSync(to, bytes, { flag, mode });
  fs.chmodSync(to, mode);
}

/** `cp`; yields what a filter says, and wants its answer. */
export function* copyTreeAcross(
  fs: Calls,
  args: readonly unknown[],
): Generator<unknown, void, unknown> {
  const [from, to, options = {}] = args as [string, string, CopyOptions | undefined];
  yield* new TreeCopy(fs, options).copy(from, to);
}

class TreeCopy {
  readonly #fs: Calls;
  readonly #options: CopyOptions;

  constructor(fs: Calls, options: CopyOptions) {
    this.#fs = fs;
    this.#options = options;
  }

  *copy(from: string, to: string): Generator<unknown, void, unknown> {
    const { filter, dereference = false } = this.#options;
    if (filter !== undefined) {
      const wanted = yield filter(from, to);
      if (wanted !== true && !wanted) return;
    }
    const stats = dereference ? this.#fs.statSync(from) : this.#fs.lstatSync(from);
    if (stats.isDirectory()) yield* this.#directory(from, to, stats);
    else if (stats.isSymbolicLink()) this.#link(from, to);
    else this.#file(from, to, stats);
  }

  *#directory(from: string, to: string, { mode }: nodeFs.Stats): Generator<unknown, void, unknown> {
    if (this.#options.recursive !== true) {
      const message = `Recursive option not enabled, cannot copy a directory: ${from}`;
      throw Object.assign(new Error(message), { code: "ERR_FS_EISDIR" });
    }
    const made = !this.#fs.existsSync(to);
    this.#fs.mkdirSync(to, { recursive: true });
    for (const name of this.#fs.readdirSync(from))
      yield* this.copy(join(from, name), join(to, name));
    if (made) this.#fs.chmodSync(to, mode & 0o777);
  }

  #file(from: string, to: string, stats: nodeFs.Stats): void {
    if (!this.#mayWrite(to)) return;
    this.#fs.mkdirSync(dirname(to), { recursive: true });
    copyFileAcross(this.#fs, [from, to]);
    if (this.#options.preserveTimestamps === true) {
      this.#fs.utimesSync(to, stats.atime, stats.mtime);
    }
  }

  #link(from: string, to: string): void {
    if (!this.#mayWrite(to)) return;
    const target = this.#fs.readlinkSync(from);
    const verbatim = this.#options.verbatimSymlinks === true || isAbsolute(target);
    if (this.#fs.lstatSync(to, { throwIfNoEntry: false }) !== undefined) this.#fs.unlinkSync(to);
    this.#fs.symlinkSync(verbatim ? target : resolve(dirname(from), target), to);
  }

  /** @throws when it is there and must not be */
  #mayWrite(to: string): boolean {
    const { force = true, errorOnExist = false } = this.#options;
    if (force || !this.#fs.existsSync(to)) return true;
    if (!errorOnExist) return false;
    const message = `Target already exists: ${basename(to)}`;
    throw Object.assign(new Error(message), { code: "ERR_FS_CP_EEXIST" });
  }
}
