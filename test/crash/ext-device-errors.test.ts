/**
 * A device that fails one of its requests, each in turn: errors are typed, an error in metadata
 * ends all writing, nothing but the note about it is written any more, unmounting says so once, and
 * the next mount recovers what was made durable before.
 */
import { describe, expect, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { EXT4_ERROR_FS, EXT4_VALID_FS } from "../../src/format/ext-superblock.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { readSuperblock } from "../../src/fs/ext/superblock.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { DaxError, isDaxError } from "../../src/lib/errno.ts";
import { S_IFLNK } from "../../src/vfs/modes.ts";
import { codeOf } from "../support/bytes.ts";
import { emptyImage, treeOf } from "../support/ext-cut-work.ts";
import { mountToWrite, plainDirectory, plainFile, writingOf } from "../support/ext-mounted.ts";
import { complaints } from "../support/ext-writing.ts";
import { EVERYTHING, WHOLE } from "../support/slices.ts";

const IMAGES = {
  "ext4, 1k": { type: "ext4", blockSize: 1024 },
  "ext4, 4k, orphan file": { type: "ext4", blockSize: 4096, features: "orphan_file" },
  ext3: { type: "ext3", blockSize: 1024 },
} as const satisfies Readonly<Record<string, MakeExtOptions>>;

/** Every how many-th request is failed. */
const STEP = EVERYTHING ? 1 : WHOLE ? 3 : 13;

/** What a request is for. */
type Kind = "metadata" | "contents" | "flush";

/** A disk that counts requests, and fails the `n`-th of them, or all from there on. */
class FailingDisk {
  readonly device: BlockDevice;
  requests = 0;
  failed: Kind | undefined;
  /** Sectors that were written since a request of metadata failed. */
  readonly later: number[] = [];
  readonly #n: number;
  readonly #forever: boolean;

  constructor(image: Uint8Array, n: number, forever: boolean) {
    this.#n = n;
    this.#forever = forever;
    this.device = new Proxy<BlockDevice>(new RamDisk({ name: "ram0", bytes: image }), {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value !== "function") return value;
        const kind = KINDS[String(key)];
        if (kind === undefined) return value.bind(target);
        return (...args: unknown[]) => {
          this.#count(kind, Number(args[0]));
          return Reflect.apply(value, target, args);
        };
      },
    });
  }

  #count(kind: Kind, place: number): void {
    const at = this.requests++;
    if (at === this.#n || (this.#forever && at > this.#n)) {
      this.failed ??= kind;
      throw new DaxError("EIO", { syscall: "write", detail: `request ${at}` });
    }
    if (this.failed !== undefined && this.failed !== "contents" && kind === "metadata") {
      this.later.push(place);
    }
  }
}

const KINDS: Readonly<Record<string, Kind>> = {
  write: "metadata",
  writeBytes: "contents",
  writeZeroes: "contents",
  flush: "flush",
};

/** Calls of every kind; names of a directory, or of the root. */
const CALLS: readonly ((filesystem: ExtFilesystem) => void)[] = [
  ({ root }) => void writingOf(root).make("a", plainFile),
  (fs) => writingOf(named(fs, "a")).write(new Uint8Array(3000).fill(1), 0),
  (fs) => fs.sync(),
  (fs) => writingOf(named(fs, "a")).write(new Uint8Array(500).fill(1), 100),
  (fs) => writingOf(named(fs, "a")).sync("data"),
  ({ root }) => void writingOf(root).make("d", plainDirectory),
  ({ root }) => {
    const target = "t".repeat(300);
    writingOf(root).make("s", { ...plainFile, mode: S_IFLNK | 0o777, target });
  },
  (fs) => writingOf(named(fs, "a")).setxattr("user.b", new Uint8Array(600)),
  (fs) => writingOf(named(fs, "a")).sync("all"),
  (fs) => writingOf(fs.root).rename("a", named(fs, "d"), "moved"),
  ({ root }) => void writingOf(root).make("b", plainFile),
  (fs) => writingOf(named(fs, "b")).write(new Uint8Array(9000).fill(2), 5000),
  (fs) => fs.sync(),
  (fs) => writingOf(named(fs, "b")).truncate(6000),
  (fs) => writingOf(named(fs, "b")).truncate(20_000),
  ({ root }) => writingOf(root).unlink("s"),
  (fs) => fs.sync(),
  ({ root }) => writingOf(root).unlink("b"),
];

function named({ root }: ExtFilesystem, name: string) {
  const found = root.lookup(name);
  if (found === undefined) throw new DaxError("ENOENT");
  return found;
}

interface Outcome {
  readonly disk: FailingDisk;
  readonly filesystem: ExtFilesystem | undefined;
  /** Codes of calls that failed, in order. */
  readonly codes: readonly string[];
  /** Trees after each call, and which of them was made durable. */
  readonly trees: readonly string[];
  readonly durable: number;
}

/** Mounts, makes all calls, and does not unmount. */
function work(image: Uint8Array, n: number, forever: boolean): Outcome {
  const disk = new FailingDisk(image, n, forever);
  const [codes, trees]: [string[], string[]] = [[], []];
  let durable = 0;
  let filesystem: ExtFilesystem | undefined;
  try {
    const options = { write: true, errors: "remount-ro" } as const;
    filesystem = ext.mount(disk.device, options, seededEnvironment(1)) as ExtFilesystem;
    trees.push(treeOf(filesystem));
  } catch (error) {
    if (!isDaxError(error, "EIO")) throw error;
    return { disk, filesystem, codes: ["EIO"], trees, durable };
  }
  for (const call of CALLS) {
    const code = codeOf(() => call(filesystem));
    if (code !== undefined) codes.push(code);
    trees.push(treeOf(filesystem));
    if (call.toString().includes("sync") && code === undefined) durable = trees.length - 1;
  }
  return { disk, filesystem, codes, trees, durable };
}

/** What has to hold of an outcome, in words; empty when all of it does. */
function objections({ disk, filesystem, codes }: Outcome): string[] {
  const said: string[] = [];
  const { failed, later } = disk;
  if (filesystem === undefined) return said;
  const aborted = filesystem.writing?.journal.error !== undefined;
  const first = codeOf(() => filesystem.unmount());
  const ended = filesystem.writing?.journal.error !== undefined;
  if (failed === "metadata" && !ended) said.push("an error in metadata did not end writing");
  if (ended !== (first === "EIO")) said.push(`unmount: ${first}, ended: ${ended}`);
  if (codeOf(() => filesystem.unmount()) !== undefined) said.push("unmount said it twice");
  if (aborted && codes.at(-1) !== "EROFS" && codes.at(-1) !== "EIO") {
    said.push(`the last call after the end: ${codes.at(-1)}`);
  }
  const allowed = new Set(["EIO", "EROFS", "ENOENT"]);
  said.push(...codes.filter((code) => !allowed.has(code)));
  // The note about the error: in the journal's superblock, and in the log, for memory.
  if (ended && later.length > 3) said.push(`written after the end: ${later.join(" ")}`);
  return said;
}

describe.each(Object.entries(IMAGES))("%s", (_, options) => {
  const fresh = emptyImage(options);
  const count = work(fresh.slice(), Number.POSITIVE_INFINITY, false).disk.requests + 20;

  test.each([
    ["once", false],
    ["from there on", true],
  ])("a request fails %s", (_how, forever) => {
    const seen = new Set<string>();
    for (let n = 0; n < count; n += STEP) {
      const image = fresh.slice();
      const outcome = work(image, n, forever);
      expect([n, ...objections(outcome)]).toEqual([n]);
      seen.add(outcome.disk.failed ?? "none");
      const recovered = mountToWrite(image);
      const { trees, durable } = outcome;
      expect([n, trees.length === 0 || trees.includes(treeOf(recovered), durable)]).toEqual([
        n,
        true,
      ]);
      recovered.unmount();
      expect(complaints(image).filter((line) => !line.includes("state"))).toEqual([]);
    }
    expect(seen.has("metadata")).toBe(true);
  });
});

describe("without a journal", () => {
  test.each([
    ["once", false],
    ["from there on", true],
  ])("a request fails %s", (_how, forever) => {
    const fresh = emptyImage({ type: "ext2", blockSize: 1024 });
    const count = work(fresh.slice(), Number.POSITIVE_INFINITY, false).disk.requests + 5;
    for (let n = 0; n < count; n += STEP) {
      const image = fresh.slice();
      const outcome = work(image, n, forever);
      expect([n, ...objections(outcome)]).toEqual([n]);
      // Nobody takes it for clean.
      const { state } = readSuperblock(new RamDisk({ name: "ram0", bytes: image }));
      const metadata = outcome.disk.failed === "metadata" && outcome.filesystem !== undefined;
      expect([n, metadata && (state & EXT4_VALID_FS) !== 0]).toEqual([n, false]);
    }
  });
});

test.each(["remount-ro", "panic", "continue"] as const)(
  "whoever mounts next learns of the error: errors=%s",
  (errors) => {
    const image = emptyImage(IMAGES["ext4, 1k"]);
    const disk = new FailingDisk(image, 10, false);
    const options = { write: true, errors };
    const filesystem = ext.mount(disk.device, options, seededEnvironment(1)) as ExtFilesystem;
    writingOf(filesystem.root).make("a", plainFile);
    expect(codeOf(() => filesystem.sync())).toBe("EIO");
    expect(codeOf(() => writingOf(filesystem.root).make("b", plainFile))).toBe("EROFS");
    expect(codeOf(() => filesystem.unmount())).toBe("EIO");
    mountToWrite(image).unmount();
    const { state } = readSuperblock(new RamDisk({ name: "ram0", bytes: image }));
    expect(state & EXT4_ERROR_FS).toBe(EXT4_ERROR_FS);
  },
);
