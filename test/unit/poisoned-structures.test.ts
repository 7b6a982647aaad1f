/** Poison under what a filesystem keeps of itself: what a mount says, and what still works. */
import { describe, expect, test } from "vitest";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { copyIn, copyOf } from "../../src/lib/memory.ts";
import { healMedia } from "../../src/media/heal.ts";
import { PoisonMedia } from "../../src/media/poison.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { openVolume } from "../../src/node/volume.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { emptyImage } from "../support/ext-cut-work.ts";

const PAGE = 4096;
const JOURNAL = "journal";

/** An image with a file on media that can be poisoned; `dirty`: as after a power cut. */
function poisoned({ dirty = false, blockSize = 1024 } = {}) {
  const environment = seededEnvironment(1);
  const image = emptyImage({ type: "ext4", blockSize }, 24);
  const ram = new RamMedia(image.length);
  copyIn(ram.window(0).memory, 0, image);
  const media = new PoisonMedia(ram);
  const volume = openVolume(media, { write: true, environment });
  volume.fs.writeFileSync("/f", noise(1, 3 * PAGE));
  volume.sync();
  const owners = volume.filesystem.ownersOf?.(0, image.length) ?? [];
  const at = (what: string) => owners.find((owner) => owner.what === what)?.start ?? Number.NaN;
  const cut = copyOf(ram.window(0).memory, 0, image.length);
  volume.close();
  if (dirty) copyIn(ram.window(0).memory, 0, cut);
  return { media, at };
}

const messageOf = (call: () => unknown): string => {
  try {
    call();
    return "";
  } catch (error) {
    return String(error);
  }
};

describe("the superblock", () => {
  test("is named, with the place of its copy, and a copy of the image can be repaired", () => {
    const { media } = poisoned();
    media.injectPoison(1024, 1);
    const message = messageOf(() => openVolume(media));
    expect(message).toMatch(/^DaxError: EIO.*the superblock cannot be read/u);
    expect(message).toContain("e2fsck -b 8193 -B 1024");
    expect(codeOf(() => openVolume(media, { write: true }))).toBe("EIO");
  });

  test("of what is mounted: reading goes on, and the next commit ends writing", () => {
    const { media } = poisoned();
    const volume = openVolume(media, { write: true });
    media.injectPoison(1024, 1);
    expect(same(volume.fs.readFileSync("/f"), noise(1, 3 * PAGE))).toBe(true);
    expect(volume.fs.readdirSync("/")).toContain("f");
    volume.fs.mkdirSync("/new");
    expect(() => volume.sync()).toThrow(/^EIO.*sector 2 is bad/u);
    expect(codeOf(() => volume.fs.mkdirSync("/other"))).toBe("EROFS");
    expect(same(volume.fs.readFileSync("/f"), noise(1, 3 * PAGE))).toBe(true);
    expect(codeOf(() => volume.close())).toBe("EIO");
    // Nothing but the superblock was lost, and it is as it was.
    healMedia(media, 1024, 512);
    openVolume(media).close();
  });
});

describe("the journal", () => {
  test("of a clean image hinders nobody who reads, and heals where it is written", () => {
    const { media, at } = poisoned();
    media.injectPoison(at(JOURNAL) + 20 * 1024, 1024);
    openVolume(media).close();
    const volume = openVolume(media, { write: true });
    for (let i = 0; i < 40; i++) {
      volume.fs.mkdirSync(`/d${i}`);
      volume.sync();
    }
    volume.close();
    expect(media.badRanges()).toEqual([]);
  });

  test("that has to be replayed says so, and noload shows what is there without it", () => {
    const { media, at } = poisoned({ dirty: true });
    openVolume(media).close();
    media.injectPoison(at(JOURNAL) + 1024, 1024);
    for (const options of [{}, { write: true }]) {
      const message = messageOf(() => openVolume(media, options));
      expect(message).toMatch(/^DaxError: EIO.*the journal has to be replayed and cannot be read/u);
      expect(message).toContain("noload");
    }
    const volume = openVolume(media, { noload: true });
    expect(volume.fs.readdirSync("/")).toContain("lost+found");
    volume.close();
  });
});

describe("the rest", () => {
  test("a directory or bitmap that cannot be read is met where it is used only", () => {
    const { media, at } = poisoned({ blockSize: PAGE });
    media.injectPoison(at("inode 11 directory"), 1024);
    media.injectPoison(at("group 0 block bitmap"), 1024);
    const volume = openVolume(media);
    expect(codeOf(() => volume.fs.readdirSync("/lost+found"))).toBe("EIO");
    expect(same(volume.fs.readFileSync("/f"), noise(1, 3 * PAGE))).toBe(true);
    const [owner] = volume.filesystem.ownersOf?.(at("group 0 block bitmap"), 512) ?? [];
    expect(owner?.what).toBe("group 0 block bitmap");
    volume.close();
  });
});
