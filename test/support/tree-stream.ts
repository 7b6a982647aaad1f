/**
 * Seeded streams of calls with odd paths, on behalf of several users: what a tree and a kernel are
 * asked alike.
 */
import type { Prng } from "../../src/lib/prng.ts";

/** On whose behalf, and with which umask. */
export interface Who {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly umask: number;
}

/** One call. */
export interface TreeCall {
  readonly op: (typeof OPS)[number];
  readonly who: Who;
  readonly path: string;
  /** The second path; a target for `symlink`. */
  readonly to: string;
  /** Names of open's options. */
  readonly flags: readonly string[];
  readonly mode: number;
  /** What `access` wants; which kind of node; which ids and times are given. */
  readonly kind: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly name: string;
  /** The value of an attribute, in hexadecimal. */
  readonly value: string;
}

const OPS = [
  "open",
  "open",
  "open",
  "open",
  "write",
  "mkdir",
  "mkdir",
  "mknod",
  "symlink",
  "link",
  "unlink",
  "rmdir",
  "rename",
  "rename",
  "chmod",
  "chmod",
  "chown",
  "utime",
  "truncate",
  "access",
  "access",
  "stat",
  "lstat",
  "readlink",
  "readdir",
  "setxattr",
  "setxattr",
  "getxattr",
  "listxattr",
  "removexattr",
] as const;

const USERS: readonly Omit<Who, "umask">[] = [
  { uid: 0, gid: 0, groups: [] },
  { uid: 1000, gid: 100, groups: [] },
  { uid: 1000, gid: 100, groups: [200, 300] },
  { uid: 1001, gid: 200, groups: [] },
  { uid: 1002, gid: 300, groups: [100] },
];
const IDS = [0, 1000, 1001, 1002];
const GROUPS = [0, 100, 200, 300];
const NAMES = ["a", "b", "c", "d", "e", "l", "m"];
const ODD = [".", "..", "", "x".repeat(255), "x".repeat(256)];
const FLAGS = ["exclusive", "truncate", "append", "directory", "noFollow"];
const XATTRS = ["user.a", "trusted.b", "security.c", "system.posix_acl_access", "user.", "odd.x"];
const ACCESS = "system.posix_acl_access";
const DEFAULT = "system.posix_acl_default";

/** A stream of calls. `sticky`: whether directories may be sticky. */
export class TreeStream {
  readonly #dice: Prng;
  readonly #sticky: number;

  constructor(dice: Prng, sticky: boolean) {
    this.#dice = dice;
    this.#sticky = sticky ? 0o1000 : 0;
  }

  /** The next call. */
  next(): TreeCall {
    const dice = this.#dice;
    const op = dice.pick(OPS);
    const name = this.#xattr(op);
    return {
      op,
      // Whether others may link to files is a setting of the machine.
      who: this.#who(op === "link"),
      path: this.#path(),
      to: op === "symlink" ? this.#target() : this.#path(),
      flags: this.#flags(op),
      mode: this.#mode(),
      kind: dice.below(8),
      uid: dice.pick(IDS),
      gid: dice.pick(GROUPS),
      size: dice.pick([0, 1, 100, 5000, 20_000]),
      name,
      value: this.#value(name),
    };
  }

  /** Calls that make a file or a directory of somebody, and ask for everybody what he may. */
  matrix(path: string): TreeCall[] {
    const dice = this.#dice;
    const root = { ...(USERS[0] as Omit<Who, "umask">), umask: 0 };
    const base = { ...this.next(), who: root, path, kind: 2, flags: [] };
    const kind = dice.below(2) === 0 ? "mkdir" : "mknod";
    const value = Buffer.from(this.#list()).toString("hex");
    const calls: TreeCall[] = [
      { ...base, op: kind, mode: dice.below(0o1000) },
      { ...base, op: "chown", kind: 0, uid: dice.pick(IDS), gid: dice.pick(GROUPS) },
    ];
    if (dice.below(4) > 0) calls.push({ ...base, op: "setxattr", name: ACCESS, value });
    if (dice.below(4) === 0) calls.push({ ...base, op: "chmod", mode: dice.below(0o1000) });
    for (const user of USERS) {
      const who = { ...user, umask: 0 };
      for (let want = 1; want < 8; want++) calls.push({ ...base, op: "access", who, kind: want });
      calls.push({ ...base, op: "getxattr", who, name: "user.a" });
      if (kind === "mkdir") calls.push({ ...base, op: "stat", who, path: `${path}/below` });
    }
    return calls;
  }

  #who(root: boolean): Who {
    const dice = this.#dice;
    const user = root || dice.below(3) === 0 ? USERS[0] : dice.pick(USERS);
    return { ...(user as Omit<Who, "umask">), umask: dice.pick([0, 0o022, 0o077, 0o007]) };
  }

  #path(): string {
    const dice = this.#dice;
    if (dice.below(60) === 0) return dice.pick(["", "/", ".", "..", "//", "a".repeat(4096)]);
    const depth = dice.pick([1, 1, 2, 2, 3]);
    const names = Array.from({ length: depth }, () => dice.pick(NAMES));
    if (dice.below(12) === 0) names[dice.below(depth)] = dice.pick(ODD);
    const slashes = dice.below(10) === 0 ? dice.pick(["/", "//"]) : "";
    return (dice.below(8) === 0 ? "/" : "") + names.join("/") + slashes;
  }

  #target(): string {
    const dice = this.#dice;
    return dice.below(20) === 0 ? dice.pick(["", "y".repeat(300), "/"]) : this.#path();
  }

  #mode(): number {
    const dice = this.#dice;
    const special = dice.below(4) === 0 ? dice.below(8) << 9 : 0;
    const bits = dice.pick([0o777, 0o755, 0o770, 0o700, dice.below(0o1000), dice.below(0o1000)]);
    return bits | (special & (0o6000 | this.#sticky));
  }

  #flags(op: string): string[] {
    const dice = this.#dice;
    const flags = FLAGS.filter(() => dice.below(5) === 0);
    flags.push(dice.pick(["read", "read", "write", "readwrite"]));
    const special = op === "open" ? dice.below(12) : 12;
    if (special === 0) return [...flags.filter((flag) => flag === "noFollow"), "read", "path"];
    if (special === 1) return [...flags.filter((flag) => flag !== "directory"), "unnamed"];
    if (dice.below(2) === 0) return flags;
    return [...flags.filter((flag) => flag !== "directory"), "create"];
  }

  #xattr(op: string): string {
    const dice = this.#dice;
    if (op !== "setxattr" && dice.below(3) === 0) return dice.pick([ACCESS, DEFAULT]);
    return dice.below(2) === 0 ? dice.pick([ACCESS, ACCESS, DEFAULT]) : dice.pick(XATTRS);
  }

  #value(name: string): string {
    const dice = this.#dice;
    if (!name.startsWith("system.")) return "61".repeat(dice.below(20));
    if (dice.below(15) === 0) return "0200000001";
    return Buffer.from(this.#list()).toString("hex");
  }

  /** An access list as setxattr(2) takes it. */
  #list(): Uint8Array {
    const dice = this.#dice;
    const perm = (): number => dice.below(8);
    const users = IDS.slice(1).filter(() => dice.below(2) === 0);
    const groups = GROUPS.slice(1).filter(() => dice.below(3) === 0);
    const named = users.length + groups.length > 0 || dice.below(3) === 0;
    const none = 0xffff_ffff;
    const entries = [
      [1, perm() | 6, none],
      ...users.map((id) => [2, perm(), id]),
      [4, perm(), none],
      ...groups.map((id) => [8, perm(), id]),
      ...(named ? [[0x10, perm() | 4, none]] : []),
      [0x20, perm(), none],
    ];
    const bytes = new Uint8Array(4 + 8 * entries.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 2, true);
    for (const [i, [tag = 0, bits = 0, id = 0]] of entries.entries()) {
      view.setUint16(4 + 8 * i, tag, true);
      view.setUint16(6 + 8 * i, bits, true);
      view.setUint32(8 + 8 * i, id, true);
    }
    return bytes;
  }
}
