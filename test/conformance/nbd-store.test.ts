/**
 * Every kind of NbdStore against one suite.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { BlockStore } from "../../src/nbd/block-store.ts";
import { MediaStore } from "../../src/nbd/media-store.ts";
import { SliceStore } from "../../src/nbd/slice-store.ts";
import type { NbdStore } from "../../src/nbd/store.ts";
import { openFileMedia } from "../../src/node/file-media.ts";
import { libc } from "../../src/node/libc.unsafe.ts";
import { closeUnlocked } from "../../src/node/file-lock.ts";
import { type OpenFileOptions, openMediaFile } from "../../src/node/media-file.ts";
import { FileStore } from "../../src/node/nbd/file-store.ts";
import { shareStore } from "../../src/node/nbd/mapped-store.ts";
import { tmpdir } from "node:os";
import { type StoreCase, storeSuite } from "./nbd-store-cases.ts";

function mapped(name: string, folder: string, options: OpenFileOptions = {}): StoreCase {
  return {
    name,
    make(size) {
      const place = mkdtempSync(join(folder, "nbd-store-"));
      const media = openFileMedia(join(place, "disk"), { ...options, create: size });
      const shared = shareStore(media)!;
      return {
        store: shared.store,
        close() {
          shared.release();
          media.close();
          rmSync(place, { recursive: true });
        },
      };
    },
  };
}

/** One that ends with the memory it is in. */
function inMemory(name: string, make: (size: number) => NbdStore): StoreCase {
  return { name, make: (size) => ({ store: make(size), close: () => {} }) };
}

storeSuite(inMemory("media in RAM", (size) => new MediaStore(new RamMedia(size))));
storeSuite(
  inMemory("media in segments", (size) => {
    return new MediaStore(new RamMedia(size, { segmentBytes: 65_536 }));
  }),
);
storeSuite(
  inMemory("a block device", (size) => {
    return new BlockStore(new RamDisk({ name: "ram0", bytes: new Uint8Array(size) }));
  }),
);
storeSuite(
  inMemory("a part of a store", (size) => {
    const whole = new MediaStore(new RamMedia(size + 16_384));
    return new SliceStore(whole, { start: 8192, length: size });
  }),
);
storeSuite({
  name: "a file by calls",
  make(size) {
    const place = mkdtempSync(join(tmpdir(), "nbd-store-"));
    const file = openMediaFile(join(place, "disk"), { create: size });
    return {
      store: new FileStore(file),
      close() {
        closeUnlocked(file.fd);
        rmSync(place, { recursive: true });
      },
    };
  },
});
if (libc() !== undefined) {
  storeSuite(mapped("a mapped file on tmpfs", "/dev/shm"));
  storeSuite(mapped("a mapped file on a disk", tmpdir()));
  storeSuite(mapped("a mapped file by cache lines", "/dev/shm", { flush: "cache-line" }));
}
