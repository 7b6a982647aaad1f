/**
 * The entry shapes of `memfs`, over a filesystem in memory: a project switches by its import.
 *
 * It is a whole ext4: it can be full (`size`), keeps modes, owners, links and attributes, and its
 * bytes are an image that can be written to a file.
 *
 * @module
 */
import { dirname, relative, resolve } from "node:path/posix";
import type { Media } from "../media/media.ts";
import { RamMedia } from "../media/ram.ts";
import type { VolumeFs } from "./facade/facade.ts";
import { makeVolume } from "./make-volume.ts";
import { type Volume as OpenVolume, openVolume } from "./volume.ts";

/** What a file or directory is made from: text, bytes, or nothing for an empty directory. */
export type FlatValue = string | Buffer | null;
/** Files by path. */
export type DirectoryJson = Readonly<Record<string, FlatValue>>;
/** Files by name, directories as objects. */
export interface NestedDirectoryJson {
  readonly [name: string]: FlatValue | NestedDirectoryJson;
}

/** How a filesystem in memory is made. */
export interface MemoryOptions {
  /** Bytes that it can hold, with what it needs for itself; 64 MiB unless given. */
  readonly size?: number;
}

const SIZE = 2 ** 26;
/** Memory is taken in pieces of so many bytes, when something is written there. */
const PIECE = 2 ** 22;
/** Bytes of space to each inode: small files are what is tested with. */
const INODE_RATIO = 4096;

function makeMemory({ size = SIZE }: MemoryOptions): Media {
  const media = new RamMedia(size, { segmentBytes: PIECE });
  // A journal would guard it against the end of the very process that has the memory.
  const features = "^has_journal,^resize_inode";
  const sparing = { features, inodeRatio: INODE_RATIO, reservedPercent: 0 };
  makeVolume(media, { zeroed: true, ...sparing });
  return media;
}

// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- its own fs is put onto it
export interface Volume extends VolumeFs {}

/** A filesystem in memory, with the calls of `fs` and what memfs has beside them. */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export class Volume {
  /** The filesystem under it, with what daxkit has of it: mappings, checks, statfs. */
  readonly volume: OpenVolume;
  /** Its bytes: an image. */
  readonly media: Media;

  constructor(options: MemoryOptions = {}) {
    this.media = makeMemory(options);
    this.volume = openVolume(this.media, { write: true, workingDirectory: () => process.cwd() });
    this.volume.fs.rmdirSync("/lost+found");
    Object.assign(this, this.volume.fs);
  }

  /** Makes one with files; relative paths start at `cwd`, which is the process's unless given. */
  static fromJSON(json: DirectoryJson, cwd?: string, options?: MemoryOptions): Volume {
    const made = new Volume(options);
    made.fromJSON(json, cwd);
    return made;
  }

  /** As {@link Volume.fromJSON}, of objects inside objects. */
  static fromNestedJSON(json: NestedDirectoryJson, cwd?: string, options?: MemoryOptions): Volume {
    return Volume.fromJSON(flattened(json), cwd, options);
  }

  /** Adds files. */
  fromJSON(json: DirectoryJson, cwd: string = process.cwd()): void {
    const { fs } = this.volume;
    for (const [name, value] of Object.entries(json)) {
      const path = resolve(cwd, name);
      const holds = typeof value === "string" || Buffer.isBuffer(value);
      fs.mkdirSync(holds ? dirname(path) : path, { recursive: true });
      if (holds) fs.writeFileSync(path, value);
    }
  }

  /** Adds files from objects inside objects. */
  fromNestedJSON(json: NestedDirectoryJson, cwd?: string): void {
    this.fromJSON(flattened(json), cwd);
  }

  /**
   * The contents of all files, by path: of everything, or of what `paths` name. Empty directories
   * are null; links are left out. `isRelative` leaves out the path of what was named.
   */
  toJSON(
    paths?: string | readonly string[],
    json: Record<string, FlatValue> = {},
    isRelative = false,
    asBuffer = false,
  ): Record<string, FlatValue> {
    const { fs } = this.volume;
    const wanted = paths === undefined ? ["/"] : typeof paths === "string" ? [paths] : paths;
    for (const path of wanted) {
      const whole = resolve(process.cwd(), path);
      if (!fs.existsSync(whole)) continue;
      const real = fs.realpathSync(whole);
      new Listing(fs, isRelative ? real : undefined, asBuffer, json).add(real);
    }
    return json;
  }

  /** Removes everything. */
  reset(): void {
    const { fs } = this.volume;
    for (const name of fs.readdirSync("/")) fs.rmSync(`/${name}`, { recursive: true });
  }
}

/** What becomes of a tree in `toJSON`. */
class Listing {
  readonly #fs: VolumeFs;
  readonly #base: string | undefined;
  readonly #asBuffer: boolean;
  readonly #json: Record<string, FlatValue>;

  constructor(
    fs: VolumeFs,
    base: string | undefined,
    asBuffer: boolean,
    json: Record<string, FlatValue>,
  ) {
    this.#fs = fs;
    this.#base = base;
    this.#asBuffer = asBuffer;
    this.#json = json;
  }

  add(path: string): void {
    const stat = this.#fs.lstatSync(path);
    if (stat.isFile()) {
      // A file that was named itself is shown from the directory that it is in.
      const bytes = this.#fs.readFileSync(path);
      this.#json[this.#shown(path) || path] = this.#asBuffer ? bytes : bytes.toString();
      return;
    }
    if (!stat.isDirectory()) return;
    const names = this.#fs.readdirSync(path);
    const shown = path === "/" ? "" : this.#shown(path);
    if (names.length === 0 && shown !== "") this.#json[shown] = null;
    for (const name of names) this.add(path === "/" ? `/${name}` : `${path}/${name}`);
  }

  #shown(path: string): string {
    return this.#base === undefined ? path : relative(this.#base, path);
  }
}

function flattened(json: NestedDirectoryJson, above = ""): DirectoryJson {
  const flat: Record<string, FlatValue> = {};
  for (const [name, value] of Object.entries(json)) {
    const path = above === "" ? name : `${above}/${name}`;
    if (typeof value === "string" || value === null || Buffer.isBuffer(value)) flat[path] = value;
    else if (Object.keys(value).length === 0) flat[path] = null;
    else Object.assign(flat, flattened(value, path));
  }
  return flat;
}

/** The `fs` of a volume. */
export function createFsFromVolume({ volume }: Volume): VolumeFs {
  return volume.fs;
}

/** A filesystem in memory with files, and its `fs`; `cwd` is `/` unless given. */
export function memfs(
  json: NestedDirectoryJson = {},
  cwd = "/",
  options?: MemoryOptions,
): { readonly fs: VolumeFs; readonly vol: Volume } {
  const vol = Volume.fromNestedJSON(json, cwd, options);
  return { fs: createFsFromVolume(vol), vol };
}

/** One that all importers of this module share. */
export const vol: Volume = new Volume();
/** The `fs` of {@link vol}. */
export const fs: VolumeFs = createFsFromVolume(vol);
