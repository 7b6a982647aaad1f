/**
 * Directories made at once: entries packed into blocks, and above the blocks of a large directory
 * the tree that finds a name by its hash.
 *
 * @module
 */
import {
  DX_NODE_COUNTLIMIT_OFFSET,
  DX_ROOT_INFO_OFFSET,
  DxCountlimit as CL,
  DxEntry as DX,
  DxRootInfo as RI,
  EXT4_FT_DIR,
  Ext4DirEntry2 as DE,
} from "../../format/ext-directory.ts";
import {
  EXT4_FEATURE_COMPAT_DIR_INDEX,
  EXT4_FEATURE_INCOMPAT_FILETYPE,
  EXT4_FEATURE_INCOMPAT_LARGEDIR,
} from "../../format/ext-superblock.ts";
import { sizeof } from "../../lib/struct.ts";
import {
  DX_ROOT_COUNTLIMIT_OFFSET,
  indexLimit,
  leafRoom,
  sealIndex,
  sealLeaf,
} from "./directory-seal.ts";
import { storedLength } from "./directory-entries.ts";
import { entryLength } from "./entry-area.ts";
import { hasCompat, hasIncompat } from "./features.ts";
import { hashName } from "./hash.ts";
import { inodeSeed } from "./mkfs-maps.ts";
import { refuse } from "./mkfs-options.ts";
import type { Superblock } from "./superblock.ts";

/** An entry of a new directory. */
export interface DirectoryEntry {
  readonly name: Uint8Array;
  readonly ino: number;
  /** `fileType`. */
  readonly type: number;
}

/** A directory in blocks; each is made when its turn comes. */
export interface DirectoryPlan {
  readonly blocks: readonly (() => Uint8Array)[];
  /** It has a hash tree. */
  readonly indexed: boolean;
}

/** Plans directory `ino`, whose entries do not include `.` and `..`. @throws EINVAL for too many */
export function planDirectory(
  superblock: Superblock,
  ino: number,
  parent: number,
  entries: readonly DirectoryEntry[],
): DirectoryPlan {
  return new Planner(superblock, ino).plan(parent, entries);
}

/** An entry with where it stands in the tree. */
interface Hashed {
  readonly entry: DirectoryEntry;
  readonly hash: number;
}

/** What an index entry leads to. */
interface Child {
  readonly hash: number;
  readonly block: number;
}

const ENTRY_BYTES = sizeof(DE);
const DOT = Uint8Array.of(0x2e);
const DOT_DOT = Uint8Array.of(0x2e, 0x2e);

class Planner {
  readonly #sb: Superblock;
  readonly #seed: number;
  readonly #ino: number;
  readonly #typed: boolean;

  constructor(superblock: Superblock, ino: number) {
    this.#sb = superblock;
    this.#ino = ino;
    this.#seed = inodeSeed(superblock, ino);
    this.#typed = hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_FILETYPE);
  }

  plan(parent: number, entries: readonly DirectoryEntry[]): DirectoryPlan {
    const own = [
      { name: DOT, ino: this.#ino, type: EXT4_FT_DIR },
      { name: DOT_DOT, ino: parent, type: EXT4_FT_DIR },
    ];
    const linear = this.#pack([...own, ...entries]);
    if (linear.length === 1 || !hasCompat(this.#sb, EXT4_FEATURE_COMPAT_DIR_INDEX)) {
      return { blocks: linear.map((block) => () => this.#leaf(block)), indexed: false };
    }
    return this.#tree(parent, this.#hashed(entries));
  }

  /** Deals entries out to blocks, in their order. */
  #pack<T extends DirectoryEntry>(entries: readonly T[]): T[][] {
    const room = leafRoom(this.#sb);
    const blocks: T[][] = [[]];
    let used = 0;
    for (const entry of entries) {
      const length = entryLength(entry.name.length);
      if (used + length > room) {
        blocks.push([]);
        used = 0;
      }
      blocks.at(-1)?.push(entry);
      used += length;
    }
    return blocks;
  }

  #hashed(entries: readonly DirectoryEntry[]): Hashed[] {
    const { defHashVersion, unsignedHash, hashSeed } = this.#sb;
    const version = defHashVersion + (unsignedHash ? 3 : 0);
    const hashed = entries.map((entry) => {
      const { hash, minor } = hashName(entry.name, version, hashSeed) ?? { hash: 0, minor: 0 };
      return { entry, hash, minor };
    });
    return hashed.toSorted((a, b) => a.hash - b.hash || a.minor - b.minor);
  }

  /** Leaves first, then the nodes above them; block 0 is the root. */
  #tree(parent: number, hashed: readonly Hashed[]): DirectoryPlan {
    const packed = this.#pack(hashed.map(({ entry, hash }) => ({ ...entry, hash })));
    const leaves = packed.map((block, i): Child => {
      const [first, before] = [block[0]?.hash ?? 0, packed[i - 1]?.at(-1)?.hash];
      // The lowest bit says that names with this hash are in the leaf before, too.
      return { hash: i === 0 ? 0 : first + (before === first ? 1 : 0), block: i + 1 };
    });
    const blocks = packed.map((block) => () => this.#leaf(block));
    let level: Child[] = leaves;
    let levels = 0;
    const rootLimit = indexLimit(this.#sb, DX_ROOT_COUNTLIMIT_OFFSET);
    for (; level.length > rootLimit; levels++) {
      const nodes = chunks(level, indexLimit(this.#sb, DX_NODE_COUNTLIMIT_OFFSET));
      level = nodes.map((node, i) => ({
        hash: (node[0] as Child).hash,
        block: blocks.length + 1 + i,
      }));
      blocks.push(...nodes.map((node) => () => this.#node(node)));
    }
    const most = hasIncompat(this.#sb, EXT4_FEATURE_INCOMPAT_LARGEDIR) ? 2 : 1;
    if (levels > most) refuse(`a directory of ${hashed.length} names needs the large_dir feature`);
    const top = level;
    return { blocks: [() => this.#root(parent, top, levels), ...blocks], indexed: true };
  }

  #entry(view: DataView, at: number, entry: DirectoryEntry, length: number): void {
    DE.inode.set(view, at, entry.ino);
    DE.recLen.set(view, at, storedLength(length, this.#sb.blockSize));
    DE.nameLen.set(view, at, entry.name.length);
    DE.fileType.set(view, at, this.#typed ? entry.type : 0);
    const { name } = entry;
    for (let i = 0; i < name.length; i++) view.setUint8(at + ENTRY_BYTES + i, name[i] as number);
  }

  #leaf(entries: readonly DirectoryEntry[]): Uint8Array {
    const bytes = new Uint8Array(this.#sb.blockSize);
    const view = new DataView(bytes.buffer);
    const room = leafRoom(this.#sb);
    let at = 0;
    for (const [i, entry] of entries.entries()) {
      const length = i === entries.length - 1 ? room - at : entryLength(entry.name.length);
      this.#entry(view, at, entry, length);
      at += length;
    }
    sealLeaf(this.#sb, this.#seed, bytes);
    return bytes;
  }

  #root(parent: number, children: readonly Child[], levels: number): Uint8Array {
    const bytes = new Uint8Array(this.#sb.blockSize);
    const view = new DataView(bytes.buffer);
    this.#entry(view, 0, { name: DOT, ino: this.#ino, type: EXT4_FT_DIR }, 12);
    this.#entry(view, 12, { name: DOT_DOT, ino: parent, type: EXT4_FT_DIR }, bytes.length - 12);
    RI.hashVersion.set(view, DX_ROOT_INFO_OFFSET, this.#sb.defHashVersion);
    RI.infoLength.set(view, DX_ROOT_INFO_OFFSET, sizeof(RI));
    RI.indirectLevels.set(view, DX_ROOT_INFO_OFFSET, levels);
    this.#index(bytes, DX_ROOT_COUNTLIMIT_OFFSET, children);
    return bytes;
  }

  #node(children: readonly Child[]): Uint8Array {
    const bytes = new Uint8Array(this.#sb.blockSize);
    DE.recLen.set(new DataView(bytes.buffer), 0, storedLength(bytes.length, this.#sb.blockSize));
    this.#index(bytes, DX_NODE_COUNTLIMIT_OFFSET, children);
    return bytes;
  }

  /** The first entry has no hash of its own: limit and count stand in its place. */
  #index(bytes: Uint8Array<ArrayBuffer>, base: number, children: readonly Child[]): void {
    const view = new DataView(bytes.buffer);
    for (const [i, { hash, block }] of children.entries()) {
      const at = base + i * sizeof(DX);
      DX.hash.set(view, at, hash);
      DX.block.set(view, at, block);
    }
    CL.limit.set(view, base, indexLimit(this.#sb, base));
    CL.count.set(view, base, children.length);
    sealIndex(this.#sb, this.#seed, bytes, base);
  }
}

function chunks<T>(list: readonly T[], length: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / length) }, (_, i) =>
    list.slice(i * length, (i + 1) * length),
  );
}
