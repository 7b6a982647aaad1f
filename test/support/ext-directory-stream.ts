/**
 * One directory under a seeded stream of changes, beside a map of what it should hold.
 */
import { EXT4_FT_REG_FILE } from "../../src/format/ext-directory.ts";
import { EXT4_FEATURE_INCOMPAT_INLINE_DATA } from "../../src/format/ext-superblock.ts";
import { openDirectory } from "../../src/fs/ext/directory.ts";
import {
  CHANGE_ENTRY_CREDITS,
  DirectoryWriter,
  addEntryCredits,
  initDirectory,
} from "../../src/fs/ext/directory-writer.ts";
import { hasIncompat } from "../../src/fs/ext/features.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import type { Handle } from "../../src/fs/ext/handle.ts";
import { initInlineDirectory } from "../../src/fs/ext/inline-directory.ts";
import type { InodeRecord } from "../../src/fs/ext/inode-record.ts";
import { newRecord, setLinks, storeRecord } from "../../src/fs/ext/inode-writer.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { decodeUtf8, encodeUtf8 } from "../../src/lib/utf8.ts";
import { S_IFDIR, S_IFREG } from "../../src/vfs/modes.ts";
import type { Writing } from "./ext-writing.ts";

/** A link count that is far from what an inode may have. */
const MOST_LINKS = 60_000;
const ROOT = 2;

/** How names are made. */
export type Naming = (dice: Prng, number: number) => Uint8Array;

/** Any bytes that a name may have, up to `longest` of them, and different for every number. */
export function wildNames(longest: number): Naming {
  return (dice, number) => {
    const head = encodeUtf8(`${number.toString(36)}-`);
    const length = Math.min(longest, head.length + dice.below(dice.below(4) === 0 ? 250 : 24));
    const name = Uint8Array.from({ length }, () => 1 + dice.below(255));
    for (const [i, byte] of name.entries()) if (byte === 0x2f) name[i] = 0xff;
    name.set(head);
    return name;
  };
}

/** A new directory of the root, and files that its names are links to. */
export class DirectoryStream {
  readonly record: InodeRecord;
  readonly model = new Map<string, number>();
  readonly writer: DirectoryWriter;
  readonly #writing: Writing;
  readonly #dice: Prng;
  readonly #naming: Naming;
  /** Of the record; what else is open on it shares the map. */
  readonly map: FileMap;
  readonly #files: InodeRecord[] = [];
  readonly #names: string[] = [];
  readonly #root: { readonly record: InodeRecord; readonly writer: DirectoryWriter };
  #number = 0;

  constructor(writing: Writing, dice: Prng, naming: Naming, files = 2, name = "stream") {
    const { editor, volume, operate } = writing;
    this.#writing = writing;
    this.#dice = dice;
    this.#naming = naming;
    const root = volume.record(ROOT);
    const writer = new DirectoryWriter(editor, root, new FileMap(volume, root));
    this.#root = { record: root, writer };
    this.record = operate((handle) => this.#makeDirectory(handle, name));
    this.map = new FileMap(volume, this.record);
    this.writer = new DirectoryWriter(editor, this.record, this.map);
    for (let i = 0; i < files; i++) operate((handle) => this.#makeFile(handle));
  }

  /** Does `count` operations, of which so many of a hundred add a name. */
  run(count: number, adds = 60): void {
    for (let i = 0; i < count; i++) {
      const roll = this.#dice.below(100);
      if (roll < adds || this.#names.length === 0) this.#add();
      else {
        const removes = roll < adds + (100 - adds) * 0.75;
        this.#operate(CHANGE_ENTRY_CREDITS, (handle) => {
          if (removes) this.#remove(handle);
          else this.#replace(handle);
        });
      }
    }
  }

  /** Adds one name as given. */
  add(name: Uint8Array): void {
    this.#writing.operate((handle) => this.#put(handle, name));
  }

  /** Takes every name out. */
  clear(): void {
    while (this.#names.length > 0) {
      this.#operate(CHANGE_ENTRY_CREDITS, (handle) => this.#remove(handle));
    }
  }

  /** What a reader of the volume finds: names and inodes, sorted. */
  listed(): [string, number][] {
    const directory = this.open();
    const list = [...directory.entries(0)].filter(({ name }) => name !== "." && name !== "..");
    return list.map(({ name, ino }): [string, number] => [name, ino]).toSorted(byName);
  }

  /** What it should find. */
  expected(): [string, number][] {
    return [...this.model].toSorted(byName);
  }

  open(): ReturnType<typeof openDirectory> {
    const { volume } = this.#writing;
    const record = volume.record(this.record.ino);
    return openDirectory(volume, record, new FileMap(volume, record));
  }

  /** Gives every file a name and its count of links, so that the image is consistent. */
  finish(): void {
    const { volume, operate } = this.#writing;
    operate((handle) => {
      for (const [i, file] of this.#files.entries()) {
        this.#put(handle, encodeUtf8(`kept ${i}`), file.ino);
        const links = [...this.model.values()].filter((ino) => ino === file.ino).length;
        if (links > MOST_LINKS) throw new Error("too many links");
        setLinks(file, links);
        storeRecord(volume, handle, file);
      }
    });
  }

  #makeDirectory(handle: Handle, name: string): InodeRecord {
    const { editor, volume } = this.#writing;
    const ino = editor.inodes.allocate(handle, { parent: ROOT, directory: true });
    const record = newRecord(volume, ino, this.#start(S_IFDIR | 0o755, 2));
    const inline = hasIncompat(volume.superblock, EXT4_FEATURE_INCOMPAT_INLINE_DATA);
    if (!inline || !initInlineDirectory(editor, handle, record, ROOT)) {
      initDirectory(editor, handle, record, ROOT);
    }
    const root = this.#root;
    root.writer.addEntry(handle, encodeUtf8(name), { ino, type: 2 });
    setLinks(root.record, root.record.links + 1);
    storeRecord(volume, handle, root.record);
    return record;
  }

  #makeFile(handle: Handle): void {
    const { editor, volume } = this.#writing;
    const ino = editor.inodes.allocate(handle, { parent: ROOT, directory: false });
    const record = newRecord(volume, ino, this.#start(S_IFREG | 0o644, 1));
    storeRecord(volume, handle, record);
    this.#files.push(record);
  }

  #start(mode: number, links: number): Parameters<typeof newRecord>[2] {
    const { now, random } = this.#writing.editor;
    return { mode, uid: 0, gid: 0, links, flags: 0, generation: random(), time: now() };
  }

  /** With the credits that such an operation is said to take, and no more. */
  #operate(credits: number, operation: (handle: Handle) => void): void {
    const handle = this.#writing.journal.start(credits, 0);
    try {
      operation(handle);
    } finally {
      handle.stop();
    }
  }

  #add(): void {
    const name = this.#naming(this.#dice, this.#number++);
    this.#operate(addEntryCredits(this.record), (handle) => this.#put(handle, name));
  }

  #put(handle: Handle, name: Uint8Array, ino = this.#anyFile()): void {
    const text = decodeUtf8(name);
    this.writer.addEntry(handle, name, { ino, type: EXT4_FT_REG_FILE });
    this.model.set(text, ino);
    this.#names.push(text);
  }

  #remove(handle: Handle): void {
    const at = this.#dice.below(this.#names.length);
    const name = this.#names[at] as string;
    const last = this.#names.pop() as string;
    if (at < this.#names.length) this.#names[at] = last;
    const { ino } = this.writer.removeEntry(handle, encodeUtf8(name));
    if (ino !== this.model.get(name)) throw new Error(`${name} led to inode ${ino}`);
    this.model.delete(name);
  }

  #replace(handle: Handle): void {
    const name = this.#names[this.#dice.below(this.#names.length)] as string;
    const ino = this.#anyFile();
    const before = this.writer.replaceEntry(handle, encodeUtf8(name), {
      ino,
      type: EXT4_FT_REG_FILE,
    });
    if (before.ino !== this.model.get(name)) throw new Error(`${name} led to ${before.ino}`);
    this.model.set(name, ino);
  }

  #anyFile(): number {
    return (this.#files[this.#dice.below(this.#files.length)] as InodeRecord).ino;
  }
}

function byName([a]: readonly [string, number], [b]: readonly [string, number]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
