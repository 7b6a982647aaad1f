/**
 * Images that Linux 6.1 wrote, against the manifests that it wrote of them.
 */
import { describe, expect, test } from "vitest";
import {
  EXT_FIXTURES,
  fixtureImage,
  fixtureManifest,
  manifestOf,
  mountBytes,
  mountDisk,
  parseManifest,
} from "../support/ext-images.ts";
import { ToyDisk } from "../support/toy-disk.ts";

describe.each(EXT_FIXTURES)("%s", (name) => {
  test("gives the recorded tree", () => {
    const filesystem = mountBytes(fixtureImage(name));
    expect(filesystem.type).toBe(name.slice(0, 4));
    expect(manifestOf(filesystem)).toEqual(parseManifest(fixtureManifest(name)));
  });

  test("gives the same through dax, page by page", () => {
    const image = fixtureImage(name);
    const disk = new ToyDisk({ pages: image.length / 4096, spanPages: 1 });
    disk.bytes.set(image);
    const filesystem = mountDisk(disk.disk);
    expect(manifestOf(filesystem)).toEqual(parseManifest(fixtureManifest(name)));
    expect(disk.device.counters.flushes).toBe(0);
  });
});
