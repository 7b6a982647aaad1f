/**
 * Names and attributes as anybody would write them down: maps in memory, and the rules of the
 * manual pages. Its errors are those of Linux, which `test/judges/ext-namespace.test.ts` holds.
 */
import { encodeUtf8 } from "../../src/lib/utf8.ts";
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "../../src/vfs/modes.ts";
import { type Call, isGiven } from "./namespace-stream.ts";

/** A time that no call gives. */
const NOW = [1, 0] as const;

/** A file of any type. */
class Node {
  readonly type: number;
  mode: number;
  links: number;
  uid = 0;
  gid = 0;
  readonly rdev: number;
  readonly target: string;
  mtime: readonly [number, number] = NOW;
  readonly entries = new Map<string, Node>();
  readonly xattrs = new Map<string, string>();
  linkable = false;

  constructor(mode: number, rdev = 0, target = "") {
    this.type = mode & S_IFMT;
    this.mode = this.type === S_IFLNK ? S_IFLNK | 0o777 : mode;
    if (this.isDirectory) this.mode &= ~0o6000;
    this.links = this.isDirectory ? 2 : 1;
    this.rdev = this.type === S_IFCHR || this.type === S_IFBLK ? rdev : 0;
    this.target = this.type === S_IFLNK ? target : "";
  }

  get isDirectory(): boolean {
    return this.type === S_IFDIR;
  }

  /** Names in it have changed. */
  touch(): void {
    this.mtime = NOW;
  }
}

class Refusal extends Error {}

/** A directory on the way, a name in it, and what that leads to. */
interface Place {
  readonly way: readonly Node[];
  readonly directory: Node;
  readonly name: string;
  readonly node: Node | undefined;
}

/** The first and the last second have no fraction. */
const ENDS = new Set([-(2 ** 31), 15_032_385_535]);

/** The whole tree. Times are those of inodes with room for all of a time. */
export class NamespaceModel {
  readonly #root = new Node(S_IFDIR | 0o755);
  readonly #slots = new Map<number, Node>();
  readonly #mostTarget: number;

  /** `blockSize` bytes, NUL included, is what a symbolic link may have. */
  constructor(blockSize: number) {
    this.#mostTarget = blockSize - 1;
  }

  /** Makes a call: `ok`, a number of links, or an error. */
  call(call: Call): string {
    try {
      return this.#run(call) ?? "ok";
    } catch (error) {
      if (error instanceof Refusal) return error.message;
      throw error;
    }
  }

  /** As `linesOfOurs`. */
  lines(): string[] {
    return [...linesBelow(this.#root, "")].toSorted();
  }

  /** The directories on the way to a name, and the name. */
  #walk(path: string): Pick<Place, "way" | "directory" | "name"> {
    const names = path.split("/");
    const name = names.pop() as string;
    const way = [this.#root];
    for (const step of names) {
      const next = lookup(way.at(-1) as Node, step);
      refuseUnless(next !== undefined && next.type !== S_IFLNK, "ENOENT");
      refuseUnless(next.isDirectory, "ENOTDIR");
      way.push(next);
    }
    return { way, directory: way.at(-1) as Node, name };
  }

  #place(path: string): Place {
    const found = this.#walk(path);
    return { ...found, node: lookup(found.directory, found.name) };
  }

  #find(path: string): Node {
    const { node } = this.#place(path);
    refuseUnless(node !== undefined, "ENOENT");
    return node;
  }

  #run(call: Call): string | void {
    switch (call.op) {
      case "make":
        return this.#make(call);
      case "link":
        return enter(this.#find(call.from), this.#place(call.to));
      case "rename":
        return this.#rename(call);
      case "unlink":
      case "rmdir":
        return remove(this.#place(call.path), call.op === "rmdir");
      case "hold":
        return this.#hold(call.slot, this.#find(call.path));
      case "unnamed":
        return this.#makeUnnamed(call);
      case "name": {
        const node = this.#slots.get(call.slot);
        refuseUnless(node !== undefined, "ENOENT");
        return enter(node, this.#place(call.to));
      }
      case "drop":
        return this.#drop(call.slot);
      default:
        return change(this.#find(call.path), call);
    }
  }

  #make({ path, mode, rdev, target }: Call & { op: "make" }): void {
    const { directory, name, node } = this.#place(path);
    refuseUnless(node === undefined, "EEXIST");
    const made = new Node(mode, rdev, target);
    refuseUnless(encodeUtf8(made.target).length <= this.#mostTarget, "ENAMETOOLONG");
    inherit(made, directory);
    directory.entries.set(name, made);
    if (made.isDirectory) directory.links++;
    directory.touch();
  }

  #makeUnnamed({ path, slot, mode }: Call & { op: "unnamed" }): void {
    const directory = this.#find(path);
    refuseUnless(directory.type !== S_IFLNK, "ENOENT");
    refuseUnless(directory.isDirectory, "ENOTDIR");
    const made = new Node(mode);
    inherit(made, directory);
    made.links = 0;
    made.linkable = true;
    this.#hold(slot, made);
  }

  #hold(slot: number, node: Node): void {
    this.#slots.set(slot, node);
  }

  #drop(slot: number): string {
    const node = this.#slots.get(slot);
    this.#slots.delete(slot);
    return node === undefined ? "none" : `${node.links}`;
  }

  #rename({ from, to, how }: Call & { op: "rename" }): void {
    // Both ways are gone before a name is looked up.
    for (const path of [from, to]) this.#walk(path);
    const source = this.#place(from);
    const moved = source.node;
    refuseUnless(moved !== undefined, "ENOENT");
    const target = this.#place(to);
    refuseUnless(how !== "noreplace" || target.node === undefined, "EEXIST");
    refuseUnless(how !== "exchange" || target.node !== undefined, "ENOENT");
    refuseUnless(!target.way.includes(moved), "EINVAL");
    const above = target.node !== undefined && source.way.includes(target.node);
    refuseUnless(!above, how === "exchange" ? "EINVAL" : "ENOTEMPTY");
    if (moved === target.node) return;
    if (how === "exchange") put(source, target.node as Node);
    else {
      if (target.node !== undefined) replace(target, moved.isDirectory);
      source.directory.entries.delete(source.name);
      if (moved.isDirectory) source.directory.links--;
    }
    put(target, moved);
    if (how !== "exchange" && moved.isDirectory) target.directory.links++;
    if (how === "exchange") countSwapped(source, target, moved);
    source.directory.touch();
    target.directory.touch();
  }
}

function refuseUnless(condition: boolean, code: string): asserts condition {
  if (!condition) throw new Refusal(code);
}

function lookup(directory: Node, name: string): Node | undefined {
  refuseUnless(encodeUtf8(name).length <= 255, "ENAMETOOLONG");
  return directory.entries.get(name);
}

function inherit(made: Node, { mode, gid }: Node): void {
  if ((mode & 0o2000) === 0) return;
  made.gid = gid;
  if (made.isDirectory) made.mode |= 0o2000;
}

function enter(target: Node, { directory, name, node }: Place): void {
  refuseUnless(node === undefined, "EEXIST");
  refuseUnless(!target.isDirectory, "EPERM");
  refuseUnless(target.links > 0 || target.linkable, "ENOENT");
  target.linkable = false;
  target.links++;
  directory.entries.set(name, target);
  directory.touch();
}

function remove(place: Place, directory: boolean): void {
  refuseUnless(place.node !== undefined, "ENOENT");
  replace(place, directory);
  place.directory.entries.delete(place.name);
  place.directory.touch();
}

/** What a name leads to has it no longer. */
function replace({ directory, node }: Place, wanted: boolean): void {
  const victim = node as Node;
  refuseUnless(victim.isDirectory || !wanted, "ENOTDIR");
  refuseUnless(!victim.isDirectory || wanted, "EISDIR");
  refuseUnless(victim.entries.size === 0, "ENOTEMPTY");
  victim.links = victim.isDirectory ? 0 : victim.links - 1;
  if (victim.isDirectory) directory.links--;
}

function put({ directory, name }: Place, node: Node): void {
  directory.entries.set(name, node);
}

function countSwapped(source: Place, target: Place, moved: Node): void {
  const other = source.directory.entries.get(source.name) as Node;
  if (moved.isDirectory === other.isDirectory) return;
  const [less, more] = moved.isDirectory ? [source, target] : [target, source];
  less.directory.links--;
  more.directory.links++;
}

type Change = Extract<
  Call,
  { op: "empty" | "chmod" | "chown" | "utimes" | "setxattr" | "removexattr" }
>;

function change(node: Node, call: Change): void {
  const isLink = node.type === S_IFLNK;
  switch (call.op) {
    case "empty":
      refuseUnless(!isLink, "ENOENT");
      refuseUnless(!node.isDirectory, "EISDIR");
      refuseUnless(node.type === S_IFREG, "EINVAL");
      node.touch();
      return;
    case "chmod":
      refuseUnless(!isLink, "ENOENT");
      node.mode = node.type | call.mode;
      return;
    case "chown":
      [node.uid, node.gid] = [call.uid, call.gid];
      if (!node.isDirectory) node.mode &= ~(0o4000 | ((node.mode & 0o010) === 0 ? 0 : 0o2000));
      return;
    case "utimes": {
      const [sec, nsec] = call.mtime;
      node.mtime = [sec, ENDS.has(sec) ? 0 : nsec];
      return;
    }
    default:
      changeXattr(node, call);
  }
}

function changeXattr(node: Node, call: Change & { op: "setxattr" | "removexattr" }): void {
  const users = node.type === S_IFREG || node.isDirectory;
  refuseUnless(users || !call.name.startsWith("user."), "EPERM");
  const known = node.xattrs.has(call.name);
  if (call.op === "removexattr") {
    refuseUnless(known, "ENODATA");
    node.xattrs.delete(call.name);
    return;
  }
  refuseUnless(!known || call.how !== "create", "EEXIST");
  refuseUnless(known || call.how !== "replace", "ENODATA");
  node.xattrs.set(call.name, call.byte.toString(16).padStart(2, "0").repeat(call.length));
}

function* linesBelow(directory: Node, path: string): Generator<string> {
  for (const [name, node] of directory.entries) {
    const size = encodeUtf8(node.target).length;
    yield JSON.stringify([
      path + name,
      node.mode,
      node.links,
      node.uid,
      node.gid,
      node.rdev,
      node.isDirectory ? -1 : size,
      isGiven(node.mtime[0]) ? node.mtime : [],
      node.target,
      [...node.xattrs].toSorted(([a], [b]) => (a < b ? -1 : 1)),
      0,
    ]);
    yield* linesBelow(node, `${path}${name}/`);
  }
}
