/**
 * Names of users and groups, as a mount on this machine would show them.
 *
 * @module
 */
import { readFileSync } from "node:fs";

/** Turns numbers into names, from this machine's own tables, read when first asked. */
export class OwnerNames {
  readonly #folder: string;
  #users: ReadonlyMap<number, string> | undefined;
  #groups: ReadonlyMap<number, string> | undefined;

  /** `folder` holds `passwd` and `group`. */
  constructor(folder = "/etc") {
    this.#folder = folder;
  }

  /** The user's name, or the number where there is none. */
  user(uid: number): string {
    this.#users ??= readTable(`${this.#folder}/passwd`);
    return this.#users.get(uid) ?? String(uid);
  }

  /** The group's name, or the number where there is none. */
  group(gid: number): string {
    this.#groups ??= readTable(`${this.#folder}/group`);
    return this.#groups.get(gid) ?? String(gid);
  }
}

/** `name:x:number:…` in each line; the first name of a number counts. */
function readTable(path: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const line of readText(path).split("\n")) {
    const [name = "", , digits = ""] = line.split(":");
    if (name !== "" && /^\d+$/u.test(digits) && !names.has(Number(digits))) {
      names.set(Number(digits), name);
    }
  }
  return names;
}

/** A machine without the table simply has no names. */
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
