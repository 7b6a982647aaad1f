/**
 * Options at random: what is made is clean, and what is refused is refused in words with nothing
 * written. Numbers are drawn from where limits are, and from where no number should be.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { parseBlockCount, parseExtended, parseJournal } from "../../src/fs/ext/mkfs-extended.ts";
import { editFeatures, makeableFeatures, NO_FEATURES } from "../../src/fs/ext/mkfs-features.ts";
import { makeExt, planExt } from "../../src/fs/ext/mkfs.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { isDaxError } from "../../src/lib/errno.ts";

const runs = process.env["CI"] === undefined ? 50 : 500;
const feature = fc
  .tuple(fc.constantFrom("", "^"), fc.constantFrom(...makeableFeatures()))
  .map((parts) => parts.join(""));
const count = fc.oneof(
  fc.nat({ max: 40_000 }).map((blocks) => ({ blocks })),
  fc.nat({ max: 2 ** 26 }).map((bytes) => ({ bytes })),
);

/** A few of the options, each drawn from where its values come from. */
function few(
  values: Readonly<Record<string, fc.Arbitrary<unknown>>>,
): fc.Arbitrary<MakeExtOptions> {
  const names = fc.uniqueArray(fc.constantFrom(...Object.keys(values)), { maxLength: 5 });
  const options = names.chain((chosen) =>
    fc.record(
      Object.fromEntries(chosen.map((name) => [name, values[name] as fc.Arbitrary<unknown>])),
    ),
  );
  return options;
}

const sane = few({
  type: fc.constantFrom("ext2", "ext3", "ext4"),
  blockSize: fc.constantFrom(1024, 2048, 4096, -2048),
  inodeSize: fc.constantFrom(128, 256, 512, 1024),
  clusterSize: fc.constantFrom(4096, 16_384, 65_536),
  inodes: fc.nat({ max: 4000 }),
  inodeRatio: fc.constantFrom(1024, 8192, 65_536),
  reservedPercent: fc.integer({ min: 0, max: 50 }),
  features: fc.array(feature, { maxLength: 4 }).map((names) => names.join(",")),
  blocksPerGroup: fc.constantFrom(256, 512, 2048, 8000, 8192),
  flexGroups: fc.constantFrom(1, 2, 16, 256),
  journal: fc.boolean(),
  journalMegabytes: fc.constantFrom(1, 2, 4),
  journalLocation: count,
  stride: fc.constantFrom(0, 4, 64),
  resize: count,
  lazyItableInit: fc.boolean(),
  packedMetaBlocks: fc.boolean(),
  backupSuperblocks: fc.constantFrom(0, 1, 2),
  orphanFileSize: count,
  rootOwner: fc.constant({ uid: 5, gid: 70_000 }),
});

/** What no caller should hand in, and one will. */
const odd = fc.oneof(
  fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, -1, 0.5, 2 ** 31, 2 ** 53, -0),
  fc.double(),
  fc.integer(),
);
const oddCount = fc.oneof(
  odd.map((blocks) => ({ blocks })),
  odd.map((bytes) => ({ bytes })),
);
const hostile = few({
  size: oddCount,
  blockSize: odd,
  inodeSize: odd,
  clusterSize: odd,
  inodes: odd,
  inodeRatio: odd,
  reservedPercent: odd,
  features: fc.oneof(fc.string(), feature, fc.constant("bigalloc,meta_bg,^resize_inode")),
  label: fc.string(),
  uuid: fc.oneof(fc.string(), fc.constant("time")),
  blocksPerGroup: odd,
  flexGroups: odd,
  journalMegabytes: odd,
  fastCommitKilobytes: odd,
  journalLocation: oddCount,
  stride: odd,
  stripeWidth: odd,
  resize: oddCount,
  hashSeed: fc.string(),
  backupSuperblocks: odd,
  descSize: odd,
  mmpUpdateInterval: odd,
  orphanFileSize: oddCount,
  rootOwner: fc.record({ uid: odd, gid: odd }),
});

/** Undefined when it was refused as it should be. */
function made<T>(body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    if (isDaxError(error, "EINVAL", "ENOSPC")) return undefined;
    throw error;
  }
}

/** Features that the driver does not read. */
const UNREAD = /(^|,)(casefold|encrypt)/u;

/** `clean`, `refused`, or what is wrong. */
function makeAndCheck(options: MakeExtOptions, bytes: Uint8Array<ArrayBuffer>): string {
  const device = new RamDisk({ name: "ram0", bytes });
  const summary = made(() => makeExt(device, options, seededEnvironment(1)));
  if (summary === undefined) {
    const untouched = Buffer.compare(bytes, new Uint8Array(bytes.length)) === 0;
    return untouched ? "refused" : "refused, and written to";
  }
  if (UNREAD.test(options.features ?? "")) return "clean";
  const findings = [...ext.check(device, seededEnvironment(1))];
  return findings.length === 0 ? "clean" : JSON.stringify(findings);
}

test("what is made is clean; what is refused wrote nothing", () => {
  let clean = 0;
  const size = fc.integer({ min: 40, max: 9000 }).map((kibis) => kibis * 1024);
  fc.assert(
    fc.property(sane, size, (options, bytes) => {
      const outcome = makeAndCheck(options, new Uint8Array(bytes));
      expect(outcome).toMatch(/^(clean|refused)$/u);
      if (outcome === "clean") clean++;
    }),
    { numRuns: runs },
  );
  expect(clean).toBeGreaterThan(runs / 10);
});

test("odd numbers and words are typed errors, or make a clean filesystem", () => {
  fc.assert(
    fc.property(hostile, (options) => {
      expect(makeAndCheck(options, new Uint8Array(2 ** 21))).toMatch(/^(clean|refused)$/u);
    }),
    { numRuns: runs * 3 },
  );
});

test("devices of any size are planned or refused, in bounded time", () => {
  const size = fc.oneof(fc.nat({ max: 2 ** 31 - 1 }), fc.integer({ min: 2 ** 32, max: 2 ** 37 }));
  fc.assert(
    fc.property(sane, size, (options, bytes) => {
      made(() => planExt(bytes, options, seededEnvironment(1)).summary());
    }),
    { numRuns: runs / 2 },
  );
});

test("lists of options are read or refused, whatever they say", () => {
  const word = fc.oneof(
    fc.constantFrom("stride", "resize", "root_owner", "quotatype", "hash_seed", "offset", "size"),
    fc.string(),
  );
  const item = fc
    .tuple(word, fc.constantFrom("", "=", "=4", "=0x", "=9e99"))
    .map((w) => w.join(""));
  const list = fc.array(item, { maxLength: 4 }).map((items) => items.join(","));
  fc.assert(
    fc.property(list, (text) => {
      made(() => parseExtended(text));
      made(() => parseJournal(text));
      made(() => parseBlockCount(text, "SIZE"));
      made(() => editFeatures({ ...NO_FEATURES }, text));
    }),
    { numRuns: 500 },
  );
});
