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

/** Turns names into numbers, from the same tables. */
export class OwnerNumbers {
  readonly #folder: string;

  /** `folder` holds `passwd` and `group`. */
  constructor(folder = "/etc") {
    this.#folder = folder;
  }

  /** The number of a user, by name or written out; undefined where there is none. */
  user(text: string): number | undefined {
    return numberOf(`${this.#folder}/passwd`, text)?.id;
  }

  /** The number of a group. */
  group(text: string): number | undefined {
    return numberOf(`${this.#folder}/group`, text)?.id;
  }

  /** The group that a user logs in with. */
  loginGroup(user: string): number | undefined {
    return numberOf(`${this.#folder}/passwd`, user)?.group;
  }
}

/** A name wins over a number, as coreutils have it. */
function numberOf(
  path: string,
  text: string,
): { readonly id: number; readonly group: number | undefined } | undefined {
  for (const line of readText(path).split("\n")) {
    const [name, , id = "", group = ""] = line.split(":");
    if (name !== text || text === "" || !/^\d+$/u.test(id)) continue;
    return { id: Number(id), group: /^\d+$/u.test(group) ? Number(group) : undefined };
  }
  const digits = text.replace(/^\+/u, "");
  if (!/^\d{1,10}$/u.test(digits) || Number(digits) > 0xffff_fffe) return undefined;
  return { id: Number(digits), group: undefined };
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
