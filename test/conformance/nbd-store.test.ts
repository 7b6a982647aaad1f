/**
 * Every kind of NbdStore against one suite.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { openFileMedia } from "../../src/node/file-media.ts";
import { libc } from "../../src/node/libc.unsafe.ts";
import type { OpenFileOptions } from "../../src/node/media-file.ts";
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

if (libc() !== undefined) {
  storeSuite(mapped("a mapped file on tmpfs", "/dev/shm"));
  storeSuite(mapped("a mapped file on a disk", tmpdir()));
  storeSuite(mapped("a mapped file by cache lines", "/dev/shm", { flush: "cache-line" }));
}
