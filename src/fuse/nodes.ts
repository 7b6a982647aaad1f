/**
 * Nodes: the files that a kernel knows by number. It counts how often each was told to it, and says
 * how many of those it forgets; until then a node is a place, whatever happens to its names.
 *
 * @module
 */
import { FUSE_ROOT_ID } from "../format/fuse.ts";
import { DaxError } from "../lib/errno.ts";
import type { Attributes, Filesystem, Inode } from "../vfs/filesystem.ts";
import type { Location, Mount } from "../vfs/mounts.ts";
import { OpenFile } from "../vfs/open-file.ts";

/** Names of a directory that the kernel was told to forget are remembered up to so many. */
const MOST_TOLD = 4096;
/** Numbers of files on one filesystem; those of the next one begin behind them. */
const NUMBERS = 2 ** 32;

/** A file that the kernel knows. */
export class Node implements Location {
  readonly id: number;
  readonly inode: Inode;
  readonly mount: Mount;
  /** Where it was met last; a rename changes it. */
  parent: Node | undefined;
  name: string;
  /** How often the kernel was told of it, and has not forgotten. */
  lookups = 0;
  /** How often the kernel has it open. */
  opens = 0;
  /** Threads that were told of it, and have not asked since. */
  onlookers = 0;
  /** How often the kernel was told to forget its attributes because of them. */
  overtaken = 0;
  /** True when the kernel was told to forget what it keeps of it, and has not asked since. */
  told = false;
  /** The same of names in it; most nodes have none. */
  #toldNames: Set<string> | undefined;
  /** What it was when its last name went while nobody had it open: it is gone. */
  #epitaph: Attributes | undefined;
  #listedTo = -1;
  #listedAs: number | undefined;
  #file: OpenFile | undefined;
  #reader: OpenFile | undefined;
  /** What keeps it while it has no name, and the mount busy with it. */
  #held: OpenFile | undefined;

  constructor(id: number, { inode, mount, name }: Location, parent: Node | undefined) {
    this.id = id;
    this.inode = inode;
    this.mount = mount;
    this.parent = parent;
    this.name = name;
  }

  /**
   * The file, open: one for all that the kernel has open, since it knows who may do what with
   * which. @throws EROFS, ENXIO
   */
  get file(): OpenFile {
    return (this.#file ??= this.#open());
  }

  /** The same, only to be read: a look at bytes that may be stored to is a change of the file. */
  get reader(): OpenFile {
    return (this.#reader ??= new OpenFile(this, { access: "read" }));
  }

  /** What stat shows: of a file that is gone what it was, and no names. @throws ESTALE */
  attributes(): Attributes {
    return this.#epitaph ?? this.inode.attributes();
  }

  /** Its last name is gone, and it with that; only who held it as a place still asks. */
  bury(last: Attributes): void {
    this.#epitaph = { ...last, nlink: 0 };
  }

  /** It loses a name: it stays as long as the kernel knows it. */
  hold(): void {
    if (this.inode.writing === undefined) return;
    this.#held ??= new OpenFile(this, { access: "none" });
  }

  /** A listing of it has come to its end, behind this cookie. */
  listed(cookie: number): void {
    this.#listedTo = cookie;
    this.#listedAs = this.inode.namesGeneration;
  }

  /** Whether there is nothing behind the cookie, as its last listing found. */
  isListedTo(cookie: number): boolean {
    if (cookie !== this.#listedTo || this.#listedAs === undefined) return false;
    return this.#listedAs === this.inode.namesGeneration;
  }

  /** The kernel opens it: whoever takes its last name, the file stays. @throws EROFS, ENXIO */
  open(): void {
    this.#file ??= this.#open();
    this.opens++;
  }

  /** One of its open files is closed. */
  close(): void {
    if (this.opens > 0 && --this.opens === 0) this.#closeFile();
  }

  /** The kernel knows nothing of it any more. @throws EIO, EROFS for what should go and cannot */
  end(): void {
    const held = this.#held;
    this.#held = undefined;
    this.opens = 0;
    try {
      this.#closeFile();
    } finally {
      if (held?.closed === false) held.close();
    }
  }

  /** Remembers that a name in it was taken back; false when that was told already. */
  tellName(name: string): boolean {
    const told = (this.#toldNames ??= new Set());
    if (told.has(name)) return false;
    if (told.size >= MOST_TOLD) told.clear();
    told.add(name);
    return true;
  }

  /** The kernel asks about a name in it. */
  askName(name: string): void {
    this.#toldNames?.delete(name);
  }

  #open(): OpenFile {
    const access = this.inode.writing === undefined ? "read" : "readwrite";
    return new OpenFile(this, { access });
  }

  #closeFile(): void {
    const [file, reader] = [this.#file, this.#reader];
    this.#file = undefined;
    this.#reader = undefined;
    // Only the last one to go may have something to end, and fail at it.
    if (reader?.closed === false) reader.close();
    if (file?.closed === false) file.close();
  }
}

/** The nodes of one filesystem. */
interface Family {
  readonly byNumber: Map<number, Node>;
  /** What is added to the numbers of its files, so that no two in the tree have the same. */
  readonly base: number;
}

/** All nodes of a connection. */
export class Nodes {
  readonly root: Node;
  readonly #byId = new Map<number, Node>();
  readonly #families = new Map<Filesystem, Family>();
  #nextId = FUSE_ROOT_ID + 1;

  constructor(root: Location) {
    this.root = new Node(FUSE_ROOT_ID, root, undefined);
    this.root.lookups = 1;
    this.#byId.set(FUSE_ROOT_ID, this.root);
    this.#familyOf(root.inode.filesystem).byNumber.set(root.inode.ino, this.root);
  }

  /** How many nodes the kernel knows. */
  get size(): number {
    return this.#byId.size;
  }

  /**
   * What a request is about; whoever asks may keep what he hears.
   * @throws ESTALE for a number that was never given, or is forgotten, or on what was unmounted
   */
  get(id: number): Node {
    const node = this.#byId.get(id);
    if (node?.mount.live === true) {
      node.told = false;
      return node;
    }
    throw new DaxError("ESTALE", { detail: `the kernel asks for node ${id}, which is none` });
  }

  /** The node with a number, if there is one. */
  at(id: number): Node | undefined {
    return this.#byId.get(id);
  }

  /** The node of a file, if the kernel knows it. */
  find(inode: Inode): Node | undefined {
    const node = this.#families.get(inode.filesystem)?.byNumber.get(inode.ino);
    return node?.inode.generation === inode.generation ? node : undefined;
  }

  /** The node of a file that is about to be told to the kernel, met in a directory. */
  meet(location: Location, parent: Node): Node {
    const node = this.find(location.inode) ?? this.#add(location, parent);
    node.lookups++;
    node.told = false;
    this.place(node, parent, location.name);
    return node;
  }

  /** A node has a name. */
  place(node: Node, parent: Node, name: string): void {
    if (node === this.root) return;
    node.name = name;
    if (node.parent === parent) return;
    node.parent = parent;
    // Directories may have moved since they were met: what was below may be above now.
    for (let at: Node = parent; at.parent !== undefined; at = at.parent) {
      if (at.parent === node) at.parent = this.root;
    }
  }

  /** What is added to the numbers of a filesystem's files: the kernel shows them all as one's. */
  baseOf(filesystem: Filesystem): number {
    return this.#familyOf(filesystem).base;
  }

  /** A file is gone: its number may be another's soon. */
  bury(node: Node, last: Attributes): void {
    node.bury(last);
    this.#familyOf(node.inode.filesystem).byNumber.delete(node.inode.ino);
  }

  /** The kernel forgets so many of the times that it was told of a node. */
  forget(id: number, count: number): void {
    const node = this.#byId.get(id);
    if (node === undefined || node === this.root) return;
    node.lookups -= count;
    if (node.lookups <= 0) this.#remove(node);
  }

  /** The kernel knows nothing any more. @throws EIO, EROFS of the first whose end was none */
  end(): void {
    let failure: unknown;
    for (const node of this.#byId.values()) {
      try {
        if (node === this.root) node.end();
        else this.#remove(node);
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
  }

  #add(location: Location, parent: Node): Node {
    const node = new Node(this.#nextId++, location, parent);
    const { filesystem, ino } = location.inode;
    this.#byId.set(node.id, node);
    this.#familyOf(filesystem).byNumber.set(ino, node);
    return node;
  }

  #remove(node: Node): void {
    this.#byId.delete(node.id);
    const { byNumber } = this.#familyOf(node.inode.filesystem);
    // Another file may have the number now.
    if (byNumber.get(node.inode.ino) === node) byNumber.delete(node.inode.ino);
    node.end();
  }

  #familyOf(filesystem: Filesystem): Family {
    let family = this.#families.get(filesystem);
    if (family === undefined) {
      const base = this.#families.size * NUMBERS;
      this.#families.set(filesystem, (family = { byNumber: new Map<number, Node>(), base }));
    }
    return family;
  }
}
