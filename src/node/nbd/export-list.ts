/**
 * The exports of a server, by name.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import { closest } from "../../lib/suggest.ts";
import { encodeUtf8 } from "../../lib/utf8.ts";
import type { ExportDirectory, NbdExport } from "../../nbd/export.ts";

const LONGEST_NAME = 4096;
/** Names that an error tells. */
const MOST_NAMES = 8;

/** A fixed list; the first is the default unless another is named. */
export class ExportList implements ExportDirectory {
  readonly #exports: readonly NbdExport[];
  readonly #byName = new Map<string, NbdExport>();
  readonly #default: NbdExport;

  /** @throws EINVAL for none, a name that the protocol forbids, twins, and an unknown default */
  constructor(exports: readonly NbdExport[], defaultName?: string) {
    if (!Array.isArray(exports)) throw refused("exports are a list of them");
    for (const each of exports) this.#add(each, exports.length);
    const [first] = exports;
    if (first === undefined) throw refused("nothing to export");
    const chosen = defaultName === undefined ? first : this.#byName.get(defaultName);
    if (chosen === undefined) {
      const guess = closest(defaultName ?? "", [...this.#byName.keys()]);
      const advice = guess === undefined ? `; there is ${this.#names()}` : hint(guess);
      throw refused(`no export is called ${JSON.stringify(defaultName)}${advice}`);
    }
    this.#exports = exports;
    this.#default = chosen;
  }

  /** What clients get that name none. */
  get default(): NbdExport {
    return this.#default;
  }

  list(): readonly NbdExport[] {
    return this.#exports;
  }

  find(name: string): NbdExport | undefined {
    return this.#byName.get(name) ?? (name === "" ? this.#default : undefined);
  }

  /** A few of them, for people. */
  #names(): string {
    const names = [...this.#byName.keys()];
    const shown = names.slice(0, MOST_NAMES).map((name) => JSON.stringify(name.slice(0, 80)));
    return `${shown.join(", ")}${names.length > MOST_NAMES ? ", …" : ""}`;
  }

  #add(each: NbdExport, count: number): void {
    if (typeof each?.store !== "object" || typeof each.name !== "string") {
      throw refused("what is to be served has no name and no store; give openExport(path).export");
    }
    const { name } = each;
    const shown = JSON.stringify(name.slice(0, 80));
    if (name === "" && count > 1) throw refused("an export without a name must be the only one");
    if (name.includes("\0")) throw refused(`the name ${shown} holds a NUL`);
    if (encodeUtf8(name).length > LONGEST_NAME) {
      throw refused(`the name ${shown}… is longer than ${LONGEST_NAME} bytes`);
    }
    if (this.#byName.has(name)) throw refused(`two exports are called ${shown}`);
    this.#byName.set(name, each);
  }
}

function hint(guess: string): string {
  return `; did you mean ${JSON.stringify(guess)}?`;
}

function refused(detail: string): DaxError {
  return new DaxError("EINVAL", { syscall: "export", detail });
}
