/**
 * A workload in the making: a small model of the tree says what each call needs, and what is
 * missing is added: before the workload where it has said nothing of that path yet, else just
 * before the call (ACE's fourth phase, dependencies).
 *
 * @module
 */
import { type Operation, type Step, concernOf, parentOf, stepText } from "./workload.ts";

/** A file or directory of the model. */
interface Node {
  /** Of a directory. */
  readonly names: Map<string, Node> | undefined;
  readonly isLink: boolean;
  /** Where it was before the workload; undefined: nowhere. */
  before: string | undefined;
  /** It was there before the workload, and no call has changed it since. */
  untouched: boolean;
  hasData: boolean;
  hasXattr: boolean;
}

/** A path that the calls so far have changed something of, and that is still there. */
export interface Touched {
  readonly path: string;
  readonly isDirectory: boolean;
  /** The last call that changed it, counted from 1. */
  readonly changed: number;
  /** The same of its bytes, its size or its blocks. */
  readonly changedData: number | undefined;
}

/** Thrown where a call cannot be made at all. */
class Impossible extends Error {}

/** In which order what is set up is made. */
const ORDER = ["mkdir", "creat", "write", "setxattr"];
const DATA: ReadonlySet<string> = new Set(["creat", "write", "mmapwrite", "falloc", "truncate"]);

/** Builds the calls of a workload, one by one. */
export class Draft {
  readonly #setup: Operation[] = [];
  #steps: Step[] = [];
  readonly #root: Node = newNode(true);
  /** Paths of which the workload has said what was there. */
  readonly #decided = new Set<string>();
  readonly #changed = new Map<Node, number>();
  readonly #changedData = new Map<Node, number>();
  #calls = 0;

  /** What has to be there before, in an order that does not depend on that of the calls. */
  get setup(): readonly Operation[] {
    return this.#setup.toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1));
  }

  /** How many calls there are, those that others need among them. */
  get calls(): number {
    return this.#calls;
  }

  /** Adds a call; returns it after those that it needs, or undefined when it cannot be made. */
  add(operation: Operation): readonly Step[] | undefined {
    this.#steps = [];
    try {
      this.#meet(operation);
    } catch (error) {
      if (error instanceof Impossible) return undefined;
      throw error;
    }
    this.#run(operation);
    return this.#steps;
  }

  /** What may be made durable now, by one of its names; links themselves cannot be opened. */
  touched(): Touched[] {
    const found: Touched[] = [];
    const known = new Set<Node>();
    this.#visit((path, node) => {
      const changed = this.#changed.get(node);
      if (changed === undefined || known.has(node)) return;
      known.add(node);
      const changedData = this.#changedData.get(node);
      found.push({ path, isDirectory: node.names !== undefined, changed, changedData });
    });
    return found;
  }

  /** Every file and directory that is there. */
  present(): string[] {
    const found: string[] = [];
    this.#visit((path) => found.push(path));
    return found;
  }

  #visit(each: (path: string, node: Node) => void): void {
    const visit = (node: Node, path: string): void => {
      if (!node.isLink) each(path === "" ? "/" : path, node);
      for (const [name, child] of node.names ?? []) visit(child, `${path}/${name}`);
    };
    visit(this.#root, "");
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of path.split("/")) if (name !== "") node = node?.names?.get(name);
    return node;
  }

  /** Makes sure of everything that a call needs. */
  #meet(operation: Operation): void {
    const { path } = operation;
    switch (operation.do) {
      case "creat":
      case "mkdir":
        return this.#needAbsent(path);
      case "link":
        this.#needFile(path);
        return this.#needAbsent(operation.to);
      case "symlink":
        return this.#needAbsent(operation.to);
      case "rename":
        return this.#meetRename(path, operation.to);
      case "unlink":
        return this.#needName(path);
      case "rmdir":
        this.#needDirectory(path);
        return this.#needEmpty(path);
      case "setxattr":
        return this.#needFile(path);
      case "removexattr":
        return this.#needXattr(path);
      default:
        return this.#needData(path);
    }
  }

  #meetRename(from: string, to: string): void {
    if (isDirectoryName(from)) {
      this.#needDirectory(from);
      this.#needDirectory(parentOf(to));
      const target = this.#find(to);
      if (target !== undefined && target.names === undefined) throw new Impossible();
      this.#needEmpty(to);
    } else {
      this.#needName(from);
      this.#needDirectory(parentOf(to));
      if (this.#find(to)?.names !== undefined) throw new Impossible();
    }
    this.#decided.add(to);
  }

  #needDirectory(path: string): void {
    if (path === "/") return;
    const node = this.#find(path);
    if (node !== undefined && node.names === undefined) throw new Impossible();
    if (node === undefined) {
      this.#needDirectory(parentOf(path));
      this.#make({ do: "mkdir", path });
    }
    this.#decided.add(path);
  }

  /** Something that is no directory has that name. */
  #needName(path: string): void {
    this.#needDirectory(parentOf(path));
    const node = this.#find(path);
    if (node?.names !== undefined) throw new Impossible();
    if (node === undefined) this.#make({ do: "creat", path });
    this.#decided.add(path);
  }

  #needFile(path: string): void {
    this.#needName(path);
    if (this.#find(path)?.isLink === true) throw new Impossible();
  }

  #needAbsent(path: string): void {
    this.#needDirectory(parentOf(path));
    const node = this.#find(path);
    if (node !== undefined) {
      this.#needEmpty(path);
      this.#run({ do: node.names === undefined ? "unlink" : "rmdir", path });
    }
    this.#decided.add(path);
  }

  #needEmpty(path: string): void {
    for (const name of this.#find(path)?.names?.keys() ?? []) {
      this.#needAbsent(`${path}/${name}`);
    }
  }

  #needData(path: string): void {
    this.#needFile(path);
    const node = this.#find(path) as Node;
    if (!node.hasData) this.#depend({ do: "write", path, where: "append" }, node.untouched);
  }

  #needXattr(path: string): void {
    this.#needFile(path);
    const node = this.#find(path) as Node;
    if (!node.hasXattr) this.#depend({ do: "setxattr", path }, node.untouched);
  }

  /** Before the workload, if its directory was there and nothing was said of the path. */
  #make(operation: Operation & { readonly do: "creat" | "mkdir" }): void {
    const { path } = operation;
    const parent = parentOf(path);
    const there = parent === "/" || this.#find(parent)?.before === parent;
    this.#depend(operation, !this.#decided.has(path) && there);
  }

  #depend(operation: Operation, before: boolean): void {
    if (!before) return this.#run(operation);
    this.#setup.push(operation);
    this.#apply(operation);
    const made = this.#find(operation.path);
    if (made !== undefined) made.before = operation.path;
  }

  /** Adds a call to the steps, and notes what it touches. */
  #run(operation: Operation): void {
    const { directories, before, after } = concernOf(operation);
    const touched = [...directories, ...before].map((path) => this.#find(path));
    this.#steps.push(operation);
    this.#calls++;
    this.#apply(operation);
    for (const node of [...touched, ...after.map((path) => this.#find(path))]) {
      if (node === undefined) continue;
      node.untouched = false;
      this.#changed.set(node, this.#calls);
    }
    const node = this.#find(operation.path);
    if (node !== undefined && DATA.has(operation.do)) this.#changedData.set(node, this.#calls);
  }

  /** What the call does to the model. */
  #apply(operation: Operation): void {
    const { path } = operation;
    const node = this.#find(path);
    switch (operation.do) {
      case "creat":
      case "mkdir":
        return this.#put(path, newNode(operation.do === "mkdir"));
      case "symlink":
        return this.#put(operation.to, newNode(false, true));
      case "link":
        return this.#put(operation.to, node);
      case "rename":
        // Two names of one file: rename(2) leaves both.
        if (node === this.#find(operation.to)) return undefined;
        this.#put(operation.to, node);
        return this.#put(path, undefined);
      case "unlink":
      case "rmdir":
        return this.#put(path, undefined);
      default:
        return change(node as Node, operation);
    }
  }

  #put(path: string, node: Node | undefined): void {
    const names = this.#find(parentOf(path))?.names as Map<string, Node>;
    const name = path.slice(path.lastIndexOf("/") + 1);
    if (node === undefined) names.delete(name);
    else names.set(name, node);
  }
}

function newNode(isDirectory: boolean, isLink = false): Node {
  const names = isDirectory ? new Map<string, Node>() : undefined;
  const nothing = { hasData: false, hasXattr: false };
  return { names, isLink, before: undefined, untouched: true, ...nothing };
}

function change(node: Node, operation: Operation): void {
  if (operation.do === "setxattr") node.hasXattr = true;
  if (operation.do === "removexattr") node.hasXattr = false;
  if (operation.do === "write" || operation.do === "mmapwrite") node.hasData = true;
}

function rank(operation: Operation): string {
  return `${ORDER.indexOf(operation.do)} ${stepText(operation)}`;
}

/** Directories of the file set have names in capitals. */
function isDirectoryName(path: string): boolean {
  return /\/[A-Z]+$/u.test(path);
}
