/**
 * Calls on a mounted filesystem in modelled persistent memory, cut wherever that makes a
 * difference, with flushes left out by the place in `src/fs/ext` that asks for them.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { Buffers } from "../../src/block/buffers.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { type Findings, explore } from "../../src/crash/explorer.ts";
import { daxRead } from "../../src/dax/file-io.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { EXT4_FEATURE_INCOMPAT_RECOVER } from "../../src/format/ext-superblock.ts";
import { type ExtMountOptions, ext } from "../../src/fs/ext/ext.ts";
import { hasIncompat } from "../../src/fs/ext/features.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { openJournal } from "../../src/fs/ext/recovery.ts";
import { readSuperblockToRecover } from "../../src/fs/ext/superblock.ts";
import { Volume } from "../../src/fs/ext/volume.ts";
import { seededEnvironment, silent } from "../../src/lib/environment.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import { extentsIn } from "../../src/vfs/extents.ts";
import { isDirectory, isRegular } from "../../src/vfs/modes.ts";
import { mountToWrite } from "./ext-mounted.ts";
import { complaintsOf } from "./ext-writing.ts";
import { type FlushPlan, planned } from "./journal-device.ts";
import { linesOfOurs } from "./namespace-ours.ts";

/** An image, and how it is mounted. */
export interface FlushedImage {
  readonly name: string;
  readonly make: MakeExtOptions;
  readonly mount?: ExtMountOptions;
  /**
   * What holds of a call before it is acknowledged: `prefix`: all of it is there or none, and
   * nothing is damaged; `names`: the same, but for contents; `order`: nothing leads to blocks that
   * hold what somebody else left there.
   */
  readonly promise: "prefix" | "names" | "order";
}

/** A call that is made durable. */
export interface FlushedCall {
  readonly name: string;
  readonly run: (filesystem: ExtFilesystem) => void;
  /** How it is made durable; `sync` of the filesystem unless given. */
  readonly sync?: (filesystem: ExtFilesystem) => void;
  /** A file of the root whose bytes change where they are: until then each is old or new. */
  readonly inPlace?: string;
}

/** Calls one after the other, each made durable before the next. */
export interface FlushedStory {
  readonly name: string;
  readonly image: FlushedImage;
  /** What is there before. */
  readonly prepare?: (filesystem: ExtFilesystem) => void;
  readonly calls: readonly FlushedCall[];
  /** What else is to be as it was, or as it comes: a word for it. */
  readonly also?: (filesystem: ExtFilesystem) => string;
}

/** Bytes that no file may ever show: what lies in free blocks. */
const STALE = 0xee;
/** The same, where a number is read. */
const STALE_WORD = /\b(?:4008636142|0xeeeeeeee|61166)\b/u;
const KILOBYTES = 2560;

/** A tree: what names lead to, and the bytes of its files. */
interface Seen {
  readonly names: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

function seen(filesystem: ExtFilesystem, { also }: FlushedStory): Seen {
  const more = also === undefined ? [] : [also(filesystem)];
  return {
    names: [...linesOfOurs(filesystem).map(withoutSum), ...more].join("\n"),
    files: new Map([...filesOf(filesystem.root, "")].map(([path, one]) => [path, bytesOf(one)])),
  };
}

/** The contents are compared by themselves. */
function withoutSum(line: string): string {
  return JSON.stringify((JSON.parse(line) as unknown[]).slice(0, -1));
}

function* filesOf(directory: Inode, path: string): Generator<readonly [string, Inode]> {
  for (const { name } of directory.readdir(0)) {
    if (name === "." || name === ".." || name === "lost+found") continue;
    const inode = directory.lookup(name);
    if (inode === undefined) throw new Error(`${path}${name} is listed, and not there`);
    if (isRegular(inode.mode)) yield [path + name, inode];
    if (isDirectory(inode.mode)) yield* filesOf(inode, `${path}${name}/`);
  }
}

function bytesOf(inode: Inode): Uint8Array {
  const bytes = new Uint8Array(inode.size);
  daxRead(inode, bytes, 0);
  return bytes;
}

/** Whether a file shows what lay in free blocks, or behind the end of another. */
function shown({ files }: Seen): string | undefined {
  for (const [path, bytes] of files) if (bytes.includes(STALE)) return `${path} shows old bytes`;
  return undefined;
}

/** Where two trees differ first, contents of `except` left out; undefined: nowhere. */
function difference(a: Seen, b: Seen, except?: string): string | undefined {
  if (a.names !== b.names) return `names: ${a.names}`;
  for (const [path, bytes] of a.files) {
    if (path === except) continue;
    if (Buffer.compare(bytes, b.files.get(path) ?? new Uint8Array()) !== 0) return path;
  }
  return undefined;
}

/** The image before: made, filled, its free blocks full of somebody else's bytes. */
function prepared({ image: { make }, prepare }: FlushedStory): Uint8Array<ArrayBuffer> {
  const image = new Uint8Array(KILOBYTES << 10);
  const disk = new RamDisk({ name: "ram0", bytes: image });
  const isBare = make.type === "ext2" || make.features?.includes("^has_journal") === true;
  const journal = isBare ? {} : { journalMegabytes: 1 };
  const options = { inodes: 32, blockSize: 1024, ...journal, ...make };
  makeExt(disk, options, seededEnvironment(5));
  const filesystem = mountToWrite(image);
  prepare?.(filesystem);
  filesystem.unmount();
  spoilFree(image, filesystem);
  for (const [, inode] of filesOf(filesystem.root, "")) spoilTail(image, filesystem, inode);
  return image;
}

/** What lies behind the end of a file in its last block is nothing that anybody may see. */
function spoilTail(image: Uint8Array, { volume }: ExtFilesystem, inode: Inode): void {
  const { blockSize } = volume.superblock;
  if (inode.size % blockSize === 0) return;
  const [last] = extentsIn(inode, inode.size - 1, 1);
  if (last?.addr === undefined || last.offset + last.length < inode.size) return;
  const end = last.addr + inode.size - last.offset;
  image.fill(STALE, end, Math.ceil(end / blockSize) * blockSize);
}

/** Fills the free blocks of an image, which has one group. */
function spoilFree(image: Uint8Array, { volume }: ExtFilesystem): void {
  const { blockSize, blocks, firstDataBlock } = volume.superblock;
  const bitmap = volume.groups.read(0).blockBitmap * blockSize;
  for (let block = firstDataBlock; block < blocks; block++) {
    const bit = block - firstDataBlock;
    const taken = ((image[bitmap + (bit >> 3)] ?? 0) >> (bit & 7)) & 1;
    if (taken === 0) image.fill(STALE, block * blockSize, (block + 1) * blockSize);
  }
}

function deviceOn(media: ModelledMedia, plan: FlushPlan): BlockDevice {
  const { size } = media;
  const pmem = createPmem({ name: "pmem0", media, start: 0, length: size, physicalStart: 2 ** 32 });
  return planned(pmem.disk, plan);
}

function mountOn(
  media: ModelledMedia,
  plan: FlushPlan,
  options: ExtMountOptions = {},
): ExtFilesystem {
  const device = deviceOn(media, plan);
  return ext.mount(device, { write: true, ...options }, seededEnvironment(1)) as ExtFilesystem;
}

/** What is wrong with what was found, when the first `acked` calls count; undefined: nothing. */
function objection(
  { image, calls }: FlushedStory,
  states: readonly Seen[],
  found: Seen,
  acked: number,
): string | undefined {
  const [now, next] = [states[acked] as Seen, states[acked + 1]];
  const before = difference(found, now);
  if (before === undefined) return undefined;
  if (next === undefined) return `acknowledged, and not there: ${before}`;
  const after = difference(found, next);
  if (after === undefined) return undefined;
  if (image.promise === "names") {
    return [now, next].some(({ names }) => names === found.names) ? undefined : before;
  }
  const changing = calls[acked]?.inPlace;
  const others = changing === undefined ? before : difference(found, now, changing);
  if (changing === undefined || others !== undefined) return `between: ${others} and ${after}`;
  return mixture(changing, found, now, next);
}

/** Bytes that change in their place are old or new. */
function mixture(path: string, found: Seen, now: Seen, next: Seen): string | undefined {
  const [bytes, old, young] = [found, now, next].map(({ files }) => files.get(path));
  const strange = bytes?.findIndex((byte, i) => byte !== old?.[i] && byte !== young?.[i]);
  return strange === -1 ? undefined : `byte ${strange} of ${path} is neither old nor new`;
}

/** What is wrong with a tree that no journal protects; errors of what was torn are none. */
function staleIn(filesystem: ExtFilesystem): string | undefined {
  try {
    for (const [path, inode] of filesOf(filesystem.root, "")) {
      if (bytesOf(inode).includes(STALE)) return `${path} shows what was in a free block`;
    }
    return undefined;
  } catch (error) {
    const said = String(error);
    return STALE_WORD.test(said) ? said : undefined;
  }
}

/** Looks at what a power cut and the recovery left, where it lies: what nobody reads stays open. */
function look(
  story: FlushedStory,
  states: readonly Seen[],
  device: BlockDevice,
  acked: number,
): string | undefined {
  const mounted = () => ext.mount(device, {}, seededEnvironment(1)) as ExtFilesystem;
  if (story.image.promise === "order" && acked < story.calls.length) {
    try {
      return staleIn(mounted());
    } catch (error) {
      if (isDaxError(error, "EUCLEAN", "EBADMSG")) return undefined;
      throw error;
    }
  }
  const said = story.image.promise === "order" ? [] : complaintsOf(device);
  if (said.length > 0) return said.join("; ");
  const found = seen(mounted(), story);
  const stale = story.image.promise === "names" ? undefined : shown(found);
  return stale ?? objection(story, states, found, acked);
}

/** Lines of stacks are those of what was loaded. */
const [loaded, suffix] =
  process.env["DAXKIT_TEST_BUILT"] === undefined ? ["src", ".ts"] : ["dist", ".js"];
const sources = join(import.meta.dirname, "..", "..", loaded, "fs", "ext");
/** What is not part of a mount. */
const COMMANDS = /^(?:mkfs|tune|resize|grow)/u;

/** Every place in the driver that flushes, or writes with FUA, as `file:line`. */
export function flushSitesInSource(): string[] {
  const files = readdirSync(sources).filter(
    (file) => file.endsWith(suffix) && !COMMANDS.test(file),
  );
  return files.flatMap((file) => {
    const lines = readFileSync(join(sources, file), "utf8").split("\n");
    return lines.flatMap((line, i) => {
      const asks = /\bdevice\.flush\(\)|\{ fua(?:: true)? \}/u.test(line);
      return asks && !/^\s*(?:\*|\/\/)|readonly fua/u.test(line) ? [`${file}:${i + 1}`] : [];
    });
  });
}

/** How far a story is explored. */
export interface FlushedExtent {
  readonly depth?: number;
  readonly leaves?: number;
}

/** A story that was told. */
interface Told {
  readonly initial: Uint8Array;
  readonly media: ModelledMedia;
  readonly states: readonly Seen[];
}

function tell(story: FlushedStory, plan: FlushPlan): Told {
  const { image, calls } = story;
  const initial = prepared(story);
  const media = new ModelledMedia(initial.length);
  media.recorder.image.set(initial);
  const filesystem = mountOn(media, plan, image.mount);
  const states = [seen(filesystem, story)];
  for (const { run, sync } of calls) {
    run(filesystem);
    states.push(seen(filesystem, story));
    if (sync === undefined) filesystem.sync();
    else sync(filesystem);
    media.ack(states.length - 1);
  }
  // What is in its place by now would be there without having been made durable before.
  if (image.promise !== "order") {
    filesystem.unmount();
    media.ack("unmounted");
  }
  return { initial, media, states };
}

/** The places in `src/fs/ext` that a story's calls flush at, each as `file:line`. */
export function flushSitesOf(story: FlushedStory): ReadonlySet<string> {
  const sites = new Set<string>();
  tell(story, { seen: (site) => sites.add(site.replace(/ < .*$/u, "")) });
  return sites;
}

/** Makes each call of a story durable, and cuts power wherever that makes a difference. */
export function cutStory(
  story: FlushedStory,
  plan: FlushPlan = {},
  { depth = 1, leaves = 20_000 }: FlushedExtent = {},
): Findings {
  const { image } = story;
  const { initial, media, states } = tell(story, plan);
  return explore({
    initial,
    modelled: {},
    trace: media.trace,
    torn: "line",
    depth,
    budget: { leaves, steps: 50_000_000 },
    stopAtFirst: true,
    program: {
      recover: (found) => {
        if (image.promise === "order") return undefined;
        const wanted = needOf(deviceOn(found, plan));
        mountOn(found, plan, image.mount).unmount();
        return wanted;
      },
      check: (found, acked, need) => {
        const unmounted = acked.at(-1) === "unmounted";
        if (need === "unasked") return "the log holds something, and e2fsck -p was not asked";
        if (unmounted && need !== "none") return "unmounted, and it has to be recovered";
        return look(story, states, deviceOn(found, plan), acked.length - (unmounted ? 1 : 0));
      },
    },
  });
}

/** Whether a superblock asks for a replay, and there is a log that nobody asks about. */
export function needOf(device: BlockDevice): "none" | "asked" | "unasked" {
  const superblock = readSuperblockToRecover(device);
  if (hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_RECOVER)) return "asked";
  const volume = new Volume(superblock, new Buffers(device, superblock.blockSize), silent);
  return openJournal(volume).superblock.start === 0 ? "none" : "unasked";
}
