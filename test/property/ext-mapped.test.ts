/**
 * Files of ext2 and ext4 that are mapped while calls change them: what mappings load is what reads
 * return, after every step, and only pages whose bytes have another place fault again.
 */
import { describe, expect, test } from "vitest";
import { Prng } from "../../src/lib/prng.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import type { Mapping } from "../../src/vfs/mapping.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
import { noise, same } from "../support/bytes.ts";
import { daxTree } from "../support/dax-mounted.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { complaints } from "../support/ext-writing.ts";

const PAGE = 4096;
const PAGES = 24;
const KINDS = [
  { type: "ext4", blockSize: 4096 },
  { type: "ext4", blockSize: 1024 },
  { type: "ext2", blockSize: 4096 },
] as const;

/** One call or store, somewhere; what the filesystem does not have is passed over. */
function step(prng: Prng, file: OpenFile, mappings: readonly Mapping[]): void {
  const size = file.attributes().size;
  const at = prng.below(size);
  const length = Math.min(size - at, 1 + prng.below(3 * PAGE));
  const mapping = mappings[prng.below(mappings.length)] as Mapping;
  const bytes = noise(prng.below(1000), length);
  const page = Math.floor(at / PAGE) * PAGE;
  const calls: readonly (() => unknown)[] = [
    () => file.pwrite(bytes, at),
    () => file.pwrite(bytes, Math.min(PAGES * PAGE - length, at + 4 * PAGE)),
    () => mapping.copyIn(at, bytes),
    () => mapping.copyIn(at, bytes.subarray(0, 1)),
    () => mapping.flush(),
    () => file.sync(),
    () => file.fallocate("allocate", at, length),
    () => file.fallocate("punch", at, length, true),
    () => file.fallocate("zero", at, length),
    () => file.fallocate("collapse", page, PAGE),
    () => file.truncate(1 + at),
    () => file.truncate(PAGES * PAGE),
    () => mapping.mlock(),
  ];
  try {
    (calls[prng.below(calls.length)] as () => unknown)();
  } catch (error) {
    if (!isDaxError(error, "EOPNOTSUPP", "EINVAL", "EFAULT", "ENOMEM")) throw error;
  }
}

/** The file through a mapping, up to its end. */
function loaded(mapping: Mapping, size: number): Uint8Array {
  const bytes = new Uint8Array(Math.min(size, mapping.length));
  for (let at = 0; at < bytes.length; at += PAGE) {
    mapping.copyOut(at, bytes.subarray(at, Math.min(bytes.length, at + PAGE)));
  }
  return bytes;
}

test.each(KINDS)("[X2] mappings load what reads return: %j", (kind) => {
  for (let seed = 0; seed < 12; seed++) {
    const prng = new Prng(seed);
    const { tree, disk } = daxTree(emptyImage(kind));
    const file = tree.open("/f", { create: true, access: "readwrite" });
    file.truncate(PAGES * PAGE);
    const mappings = [false, true].map((huge) => file.map({ access: "write", lazy: true, huge }));
    for (let count = 0; count < 60; count++) {
      step(prng, file, mappings);
      const { size } = file.attributes();
      const read = new Uint8Array(Math.min(size, PAGES * PAGE));
      file.pread(read, 0);
      const mapping = mappings[count % 2] as Mapping;
      expect(same(loaded(mapping, size), read), `seed ${seed}, step ${count}`).toBe(true);
    }
    for (const mapping of mappings) mapping.unmap();
    file.close();
    tree.close();
    expect(complaints(disk.bytes)).toEqual([]);
  }
});

describe("a call that gives a file blocks", () => {
  const mapped = (kind: (typeof KINDS)[number]) => {
    const { tree } = daxTree(emptyImage(kind));
    const file = tree.open("/f", { create: true, access: "readwrite" });
    file.truncate(64 * PAGE);
    const mapping = file.map({ access: "write", lazy: true });
    for (let page = 0; page < 8; page++) mapping.setUint8(page * PAGE, page);
    mapping.mlock();
    const faults = (): number => {
      const before = mapping.counters.pteFaults;
      for (let page = 0; page < 8; page++) mapping.setUint8(page * PAGE, page);
      for (let page = 0; page < 64; page++) mapping.getUint8(page * PAGE);
      return mapping.counters.pteFaults - before;
    };
    return { file, mapping, faults };
  };

  test.each([KINDS[0], KINDS[2]])("takes their pages from mappings, and no others: %j", (kind) => {
    const { file, mapping, faults } = mapped(kind);
    expect(faults()).toBe(0);
    file.pwrite(noise(1, PAGE), 20 * PAGE);
    file.pwrite(noise(2, 2 * PAGE), 40 * PAGE);
    expect(faults()).toBe(3);
    // Stores of another mapping do so, too: the page of zeros is replaced where it was mapped.
    const other = file.map({ access: "write", lazy: true });
    other.setUint8(50 * PAGE, 5);
    file.pwrite(noise(3, PAGE), 51 * PAGE);
    expect([faults(), mapping.getUint8(50 * PAGE)]).toEqual([2, 5]);
    // What is overwritten stays where it is.
    file.pwrite(noise(4, 64 * PAGE).subarray(0, PAGE), 20 * PAGE);
    expect(faults()).toBe(0);
  });

  test("after very many of them, all pages fault again", () => {
    const { file, faults } = mapped(KINDS[0]);
    file.truncate(1024 * PAGE);
    for (let page = 100; page < 1024; page += 10) file.pwrite(noise(1, 10), page * PAGE);
    expect(faults()).toBe(64);
    file.pwrite(noise(1, 10), 65 * PAGE);
    expect(faults()).toBe(0);
  });
});
