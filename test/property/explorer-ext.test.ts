/**
 * The explorer against brute force where programs live: on a file that is mapped, and through the
 * journal of ext4. In each crash point both see the same recovered states, and weigh them alike.
 * Thousands of cases by `npm run doubt`.
 */
import { expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import type { Recovered } from "../../src/crash/ace/oracles.ts";
import { randomWorkload } from "../../src/crash/ace/random.ts";
import { sightOf } from "../../src/crash/ace/sight.ts";
import { AceSuite } from "../../src/crash/ace/suite.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { Prng } from "../../src/lib/prng.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import type { Mapping } from "../../src/vfs/mapping.ts";
import { compare } from "../support/explorer-brute.ts";
import { WHOLE } from "../support/slices.ts";

/** Milliseconds; a vitest limit, and no claim. */
const PATIENCE = 1_800_000;
const LONG = process.env["DAXKIT_LONG"] !== undefined;
const SIZE = 64 * 4096;
/** Bytes of the file that are stored to: some lines, so that stores meet. */
const USED = 256;

function cases(short: number, ci: number, long: number): number {
  if (LONG) return long;
  return WHOLE ? ci : short;
}

function deviceOn(media: ModelledMedia) {
  return createPmem({ name: "pmem0", media, start: 0, length: SIZE, physicalStart: 2 ** 32 }).disk;
}

/** An ext4 with one file, which lies in persistent memory as it is: it has no journal. */
function imageWithFile(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(SIZE);
  const disk = new RamDisk({ name: "ram0", bytes });
  const make = { type: "ext4", blockSize: 4096, inodes: 16, features: "^has_journal" } as const;
  makeExt(disk, make, seededEnvironment(7));
  const tree = new FileTree(ext.mount(disk, { write: true }, seededEnvironment(1)));
  const file = tree.open("/file", { create: true, access: "write" });
  file.pwrite(new Uint8Array(4096), 0);
  file.close();
  tree.close();
  return bytes;
}

/** Stores of every width, few values, and flushes. */
function storeBySeed(mapping: Mapping, prng: Prng): void {
  for (let left = 2 + prng.below(7); left > 0; left--) {
    const at = 8 * prng.below(USED / 8 - 2) + prng.pick([0, 0, 0, 4, 6]);
    const value = 1 + prng.below(3);
    const kind = prng.below(6);
    if (kind === 0) mapping.setUint8(at, value);
    else if (kind === 1) mapping.setUint16(at, value * 0x101, true);
    else if (kind === 2) mapping.setUint32(at, value * 0x1010101, true);
    else if (kind === 3) mapping.copyIn(at, new Uint8Array(1 + prng.below(16)).fill(value));
    else mapping.flush(at, 1 + prng.below(USED - at));
  }
}

test(
  "a mapped file: the same states, as often",
  () => {
    const initial = imageWithFile();
    const environment = seededEnvironment(1);
    let open = 0;
    for (let seed = 1; seed <= cases(40, 400, 6000); seed++) {
      const prng = new Prng(seed);
      const media = new ModelledMedia(SIZE);
      media.recorder.image.set(initial);
      media.recorder.recording = false;
      const tree = new FileTree(
        ext.mount(deviceOn(media), { write: true, dax: "always" }, environment),
      );
      const mapping = tree
        .open("/file", { access: "readwrite" })
        .map({ access: "write", sync: true });
      tree.sync();
      const before = media.recorder.image.slice();
      media.recorder.recording = true;
      storeBySeed(mapping, prng);
      const torn = prng.pick(["line", "prefix", "atoms"] as const);
      const what = { initial: before, trace: media.trace, torn, modelled: {} };
      const look = (found: ModelledMedia): string => {
        const mounted = new FileTree(ext.mount(deviceOn(found), { dax: "always" }, environment));
        const there = mounted.open("/file").map({ length: USED });
        // Half of the time it looks at what is behind the first byte only where that says so.
        const bytes = new Uint8Array(seed % 2 === 0 && there.getUint8(0) === 0 ? 64 : USED);
        there.copyOut(0, bytes);
        return String(bytes);
      };
      const found = compare(what, { look }, 256n);
      open += found.open;
      expect(found.lazy, `seed ${seed}`).toEqual(found.brute);
    }
    expect(open).toBeGreaterThan(cases(40, 400, 6000));
  },
  PATIENCE,
);

test.each(["ext4", "ext2"] as const)(
  "through %s: the same recovered states, as often",
  (filesystem) => {
    const suite = new AceSuite({ filesystem });
    const most = cases(6, 40, 2000);
    let open = 0;
    let different = 0;
    for (let seed = 1; seed <= most; seed++) {
      const workload = randomWorkload(seed, { filesystem, least: 1, length: 2 });
      const what = suite.explorationOf(workload);
      const { program } = what;
      const recover = (media: ModelledMedia): unknown => program.recover?.(media);
      const look = (media: ModelledMedia, recovered: unknown): string =>
        textOf(program.look?.(media, recovered) as Recovered);
      const found = compare(what, { recover, look }, 16n);
      open += found.open;
      for (const { seen } of found.brute) different += seen.length > 1 ? 1 : 0;
      expect(found.lazy, `seed ${seed}`).toEqual(found.brute);
    }
    expect(open).toBeGreaterThan(most);
    expect(different).toBeGreaterThan(most / 4);
  },
  PATIENCE,
);

function textOf({ sight, complaints, broken }: Recovered): string {
  const bytes = [...sight.entries].map(([path, seen]) => [path, String(seen.bytes)]);
  return JSON.stringify([sight.names, bytes, complaints, [...broken]]);
}

test("sights tell what can be seen apart", () => {
  const disk = new RamDisk({ name: "ram0", bytes: imageWithFile() });
  const filesystem = ext.mount(disk, { write: true }, seededEnvironment(1));
  const before = sightOf(filesystem);
  new FileTree(filesystem).setxattr("/file", "user.a", new Uint8Array([1]));
  expect(sightOf(filesystem).names).not.toBe(before.names);
  expect(sightOf(filesystem).names).toContain("user.a=1");
});
