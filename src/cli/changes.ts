/**
 * Images that a command changes: opened once each for writing, closed when the command ends, and
 * what went wrong with them, in the words of coreutils.
 *
 * @module
 */
import { realpathSync } from "node:fs";
import { DaxError, Errno, type ErrnoCode, isDaxError } from "../lib/errno.ts";
import { isNbdUri } from "../nbd/uri.ts";
import type { OpenVolumeOptions, Volume } from "../node/volume.ts";
import type { FileTree } from "../vfs/file-tree.ts";
import { type Invocation, STATUS_FAILED, STATUS_OK } from "./command.ts";
import { type OperatingError, isOperatingError, oneLine } from "./errors.ts";
import { type ImagePath, splitImagePath } from "./image-path.ts";
import type { IMAGE_OPTIONS } from "./images.ts";
import { shownName } from "./names.ts";

/** Exit status when something could not be done, and all else was: that of coreutils. */
const STATUS_PART = 1;

/** For `statuses` of the commands that are run here. */
export const CHANGE_STATUSES = {
  [STATUS_PART]: "something could not be done; the reason is on standard error",
  [STATUS_FAILED]: "the command line is wrong",
} as const;

/** A path in an image that is open. */
export interface ChangedPath extends ImagePath {
  readonly volume: Volume;
  readonly tree: FileTree;
}

type ChangeInvocation = Invocation<typeof IMAGE_OPTIONS>;
type Open = (path: string, options: OpenVolumeOptions) => Volume;

/** One run of a command that changes images. */
export class Changes {
  status = STATUS_OK;
  /** Say what is done (`-v`); with `--json` it is said anyway. */
  verbose = false;
  /** Say nothing of what cannot be done (`-f`). */
  quiet = false;
  readonly #invocation: ChangeInvocation;
  readonly #open: Open;
  readonly #volumes = new Map<string, Volume>();
  /** Errors about an image itself: they name it. */
  readonly #ofImages = new WeakSet<Error>();

  constructor(invocation: ChangeInvocation, open: Open) {
    this.#invocation = invocation;
    this.#open = open;
  }

  /** Opens the image of a word for writing. @throws UsageError, and as `openVolume` */
  open(word: string): ChangedPath {
    return this.#opened(word, true);
  }

  /** Opens the image of a word for reading, unless it is open already. */
  openToRead(word: string): ChangedPath {
    return this.#opened(word, false);
  }

  #opened(word: string, write: boolean): ChangedPath {
    try {
      return this.#find(word, write);
    } catch (error) {
      if (error instanceof Error) this.#ofImages.add(error);
      throw error;
    }
  }

  #find(word: string, write: boolean): ChangedPath {
    const split = splitImagePath(word);
    const key = keyOf(split.image);
    let volume = this.#volumes.get(key);
    // What was opened to be read first is opened again when it is to be changed.
    if (write && volume !== undefined && !volume.writable) {
      volume.close({ revoke: true });
      volume = undefined;
    }
    volume ??= this.#openVolume(split.image, write);
    this.#volumes.set(key, volume);
    return { ...split, volume, tree: volume.tree };
  }

  #openVolume(image: string, write: boolean): Volume {
    const { partition, offset } = this.#invocation.values;
    const place = {
      ...(partition === undefined ? {} : { partition }),
      ...(offset === undefined ? {} : { offset }),
    };
    try {
      return this.#open(image, write ? { ...place, write: true } : place);
    } catch (error) {
      throw write ? withRemedy(error, image) : error;
    }
  }

  /** Runs `body` for each word; one that fails is reported, and the others have their turn. */
  each(words: readonly string[], head: string, body: (path: ChangedPath) => void): void {
    for (const word of words) {
      this.attempt(`${head} '${word}'`, () => body(this.open(word)));
    }
  }

  /** Runs `body`; an error is reported behind `head`. Undefined after an error. */
  attempt<T>(head: string, body: () => T): T | undefined {
    try {
      return body();
    } catch (error) {
      if (!isOperatingError(error)) throw error;
      this.complain(head, error);
      return undefined;
    }
  }

  /** Reports an error and lets the command go on; its status will be 1. */
  complain(head: string, error: OperatingError): void {
    this.status = STATUS_PART;
    if (!this.quiet)
      this.#invocation.terminal.message(
        `${head}: ${this.#ofImages.has(error) ? oneLine(error) : brief(error)}`,
      );
  }

  /** Ends the command: reports an error that leaves nothing else to do. @throws all others */
  fail(error: unknown): void {
    if (!isOperatingError(error)) throw error;
    this.status = STATUS_PART;
    this.#invocation.terminal.message(oneLine(error));
  }

  /** For `walkBelow`: reports what is met and cannot be read. */
  trouble(head: string): (word: string, error: unknown) => void {
    return (word, error) => {
      if (!isOperatingError(error)) throw error;
      this.complain(`${head} '${word}'`, error);
    };
  }

  /** Reports what is refused without an error; the status will be 1. */
  refuse(text: string): void {
    this.status = STATUS_PART;
    this.#invocation.terminal.message(text);
  }

  /** Says what was done: a line of text with `-v`, a record with `--json`. */
  tell(text: string, record: Readonly<Record<string, unknown>>): void {
    const { json, out } = this.#invocation;
    if (json) out.json(record);
    else if (this.verbose) out.line(shownName(out, text));
  }

  /** Closes all images, which makes everything durable; each that fails is reported. */
  close(): void {
    for (const [image, volume] of this.#volumes) {
      this.attempt(`cannot finish '${image}'`, () => volume.close({ revoke: true }));
    }
    this.#volumes.clear();
  }
}

/** One image may be named in several ways. */
function keyOf(image: string): string {
  if (isNbdUri(image)) return image;
  try {
    return realpathSync(image);
  } catch {
    return image;
  }
}

const REMEDIES: Partial<Record<ErrnoCode, string>> = {
  EACCES: "it cannot be opened for writing: chmod u+w, or change a copy",
  EPERM: "it cannot be opened for writing: chattr -i, or change a copy",
  EROFS: "it is on a filesystem that is mounted read-only: change a copy elsewhere",
};

/** What to do about an image that cannot be written. */
function withRemedy(error: unknown, path: string): unknown {
  if (!isDaxError(error) || error.detail !== undefined) return error;
  const detail = REMEDIES[error.code];
  if (detail === undefined) return error;
  return new DaxError(error.code, { syscall: error.syscall ?? "open", path, detail });
}

/** An error without its place, which stands before it. */
export function brief(error: OperatingError): string {
  if (!isDaxError(error)) return oneLine(error);
  const detail = error.detail === undefined ? "" : ` (${error.detail})`;
  return `${error.code}: ${Errno[error.code][1]}${detail}`;
}

/** Runs a command that changes images and closes them, whatever happens. */
export async function withChanges(
  invocation: ChangeInvocation,
  body: (changes: Changes) => void | Promise<void>,
): Promise<number> {
  const { openVolume } = await import("../node/volume.ts");
  const changes = new Changes(invocation, openVolume);
  try {
    await body(changes);
  } catch (error) {
    changes.fail(error);
  } finally {
    changes.close();
  }
  return changes.status;
}

/** The bits that this process keeps from new files. */
export function umask(): number {
  return process.umask();
}

/** The last name of a path; `/` for the root. */
export function lastName(path: string): string {
  const trimmed = path.replace(/\/+$/u, "");
  return trimmed === "" ? "/" : trimmed.slice(trimmed.lastIndexOf("/") + 1);
}

/** A path below a directory, in the words of the command line. */
export function below(word: string, name: string): string {
  return word.endsWith("/") ? `${word}${name}` : `${word}/${name}`;
}

/** The word for something in the directory that a word names. */
export function wordBelow({ image, path, word }: ImagePath, name: string): string {
  return path === "/" && word === image ? `${word}:/${name}` : below(word, name);
}
