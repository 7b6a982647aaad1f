/**
 * What a mount for writing leaves in the superblock, and which filesystems it refuses by name.
 */
import { describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import {
  EXT4_ERROR_FS,
  EXT4_FEATURE_COMPAT_EXT_ATTR,
  EXT4_FEATURE_RO_COMPAT_LARGE_FILE,
  EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT,
  EXT4_VALID_FS,
  Ext4SuperBlock as SB,
} from "../../src/format/ext-superblock.ts";
import { hasCompat, hasRoCompat } from "../../src/fs/ext/features.ts";
import { SUPERBLOCK_CREDITS } from "../../src/fs/ext/superblock-writer.ts";
import { type Superblock, readSuperblock } from "../../src/fs/ext/superblock.ts";
import { checkWritable } from "../../src/fs/ext/write-features.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { type Field, decode } from "../../src/lib/struct.ts";
import { ExtEditor } from "../support/ext-editor.ts";
import { codeOf } from "../support/bytes.ts";
import { fixtureImage } from "../support/ext-images.ts";
import { complaints, writeTo } from "../support/ext-writing.ts";
import { tinyImage } from "../support/tiny-images.ts";

const stored = (image: Uint8Array<ArrayBuffer>) => decode(SB, new DataView(image.buffer), 1024);
const features = (image: Uint8Array<ArrayBuffer>) =>
  readSuperblock(new RamDisk({ name: "ram0", bytes: image }));

/** Whether the two features are set. */
const has = (superblock: Superblock) => [
  hasCompat(superblock, EXT4_FEATURE_COMPAT_EXT_ATTR),
  hasRoCompat(superblock, EXT4_FEATURE_RO_COMPAT_LARGE_FILE),
];

describe("a mount for writing", () => {
  test("without a journal is not clean until it ends", () => {
    const image = fixtureImage("ext2-1k");
    const before = stored(image);
    const writing = writeTo(image);
    const { superblock } = writing.editor;
    writing.operate((handle) => superblock.mounted(handle));
    writing.journal.commit();
    const during = stored(image);
    expect([before.state & EXT4_VALID_FS, during.state & EXT4_VALID_FS]).toEqual([1, 0]);
    expect(during.mntCount).toBe(before.mntCount + 1);
    const { sec } = seededEnvironment(1).clock.now();
    expect([during.mtime, during.wtime]).toEqual([sec, sec]);
    writing.operate((handle) =>
      writing.editor.inodes.allocate(handle, { parent: 2, directory: false }),
    );
    writing.operate((handle) => superblock.unmounted(handle, false));
    writing.journal.close();
    const after = stored(image);
    expect([after.state, after.freeInodesCount]).toEqual([
      before.state,
      before.freeInodesCount - 1,
    ]);
  });

  test("says that errors were found, and goes on saying it", () => {
    const image = fixtureImage("ext2-1k");
    const writing = writeTo(image);
    writing.operate((handle) => writing.editor.superblock.mounted(handle));
    writing.operate((handle) => writing.editor.superblock.foundErrors(handle));
    writing.operate((handle) => writing.editor.superblock.unmounted(handle, false));
    writing.journal.close();
    expect(stored(image).state).toBe(EXT4_VALID_FS | EXT4_ERROR_FS);
  });

  test("with an orphan file asks for it to be read, until it is known to be empty", () => {
    const image = tinyImage("journal-v3");
    const writing = writeTo(image);
    const { superblock } = writing.editor;
    const present = () => hasRoCompat(features(image), EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT);
    writing.operate((handle) => superblock.mounted(handle));
    writing.journal.close();
    expect(present()).toBe(true);
    expect(stored(image).state & EXT4_VALID_FS).toBe(1);
    const next = writeTo(image);
    next.operate((handle) => next.editor.superblock.unmounted(handle, true));
    next.journal.close();
    expect(present()).toBe(true);
    const last = writeTo(image);
    last.operate((handle) => last.editor.superblock.unmounted(handle, false));
    last.journal.close();
    expect(present()).toBe(false);
  });

  test("sets features when they are first used, for everybody to see", () => {
    const editor = new ExtEditor(fixtureImage("ext4-default"));
    const { featureCompat, featureRoCompat } = editor.volume.superblock;
    const without = (field: Field<number>, value: number) =>
      editor.set({ base: 1024, field }, value);
    without(SB.featureCompat, featureCompat & ~EXT4_FEATURE_COMPAT_EXT_ATTR);
    without(SB.featureRoCompat, featureRoCompat & ~EXT4_FEATURE_RO_COMPAT_LARGE_FILE);
    editor.sealSuperblock();
    const image = editor.bytes;
    const writing = writeTo(image);
    expect(has(writing.volume.superblock)).toEqual([false, false]);
    const need = () =>
      writing.operate((handle) => {
        writing.editor.superblock.needCompat(handle, EXT4_FEATURE_COMPAT_EXT_ATTR);
        writing.editor.superblock.needRoCompat(handle, EXT4_FEATURE_RO_COMPAT_LARGE_FILE);
        return handle.credits;
      });
    const most = writing.operate((handle) => handle.credits);
    expect(need()).toBe(most - SUPERBLOCK_CREDITS);
    expect(has(writing.volume.superblock)).toEqual([true, true]);
    writing.journal.commit();
    // Nothing is to be changed any more.
    expect(need()).toBe(most);
    writing.close();
    expect(has(features(image))).toEqual([true, true]);
  });

  test("keeps every byte that it does not know", () => {
    const image = fixtureImage("ext4-1k");
    const before = stored(image);
    const writing = writeTo(image);
    writing.operate((handle) => writing.editor.superblock.mounted(handle));
    writing.operate((handle) => writing.editor.superblock.unmounted(handle, false));
    writing.journal.close();
    const changed = Object.entries(stored(image)).filter(([name, value]) => {
      return String(value) !== String(before[name as keyof typeof before]);
    });
    const names = changed.map(([name]) => name);
    expect(new Set(names)).toEqual(new Set(["mtime", "wtime", "mntCount", "checksum"]));
    expect(complaints(image)).toEqual([]);
  });
});

describe("writing is refused", () => {
  const plain = { featureCompat: 0, featureIncompat: 0, featureRoCompat: 0 };

  test.each([
    [{ featureRoCompat: 0x100 }, "quota"],
    [{ featureRoCompat: 0x1100 }, "quota, read-only"],
    [{ featureRoCompat: 0x4000 }, "shared_blocks"],
    [{ featureRoCompat: 0x80 }, "snapshot"],
    [{ featureRoCompat: 0x800 }, "replica"],
    [{ featureRoCompat: 0x4 }, "btree_dir"],
    [{ featureRoCompat: 0x8000_0000 }, "unknown ro_compat feature 0x80000000"],
    [{ featureCompat: 0x100 }, "exclude_bitmap"],
    [{ featureCompat: 0x2000 }, "unknown compat feature 0x2000"],
  ])("with %j", (bits, names) => {
    const refuse = () => checkWritable({ ...plain, ...bits });
    expect(codeOf(refuse)).toBe("ENOTSUP");
    expect(refuse).toThrow(`uses ${names}, which`);
  });

  test("of nothing that mke2fs makes without asking for it", () => {
    for (const name of [
      "ext2-1k",
      "ext3-4k",
      "ext4-default",
      "ext4-bigalloc",
      "ext4-inline",
    ] as const) {
      expect(codeOf(() => checkWritable(features(fixtureImage(name))))).toBeUndefined();
    }
    expect(codeOf(() => checkWritable(features(tinyImage("dax"))))).toBe("ENOTSUP");
  });
});
