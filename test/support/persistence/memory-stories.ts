/** Memory that nobody formats: device-dax for filesystems, and devices that are mapped raw. */
import { mapRaw } from "../../../src/block/raw-device.ts";
import { AddressSpaces } from "../../../src/dax/address-spaces.ts";
import { RawFreeze } from "../../../src/dax/raw-freeze.ts";
import { PAGE_SIZE } from "../../../src/dax/operations.ts";
import type { Pmem } from "../../../src/drivers/pmem.ts";
import { type Tracer, silent } from "../../../src/lib/environment.ts";
import { assert } from "../../../src/lib/errno.ts";
import { copyIn } from "../../../src/lib/memory.ts";
import type { Media } from "../../../src/media/media.ts";
import { noise } from "../bytes.ts";
import { fsdevOf } from "../dax-regions.ts";
import { pmemOn, story, useDax, useStores } from "./device-stories.ts";
import type { Promising } from "./promises.ts";
import type { Story } from "./story.ts";

/** Memory as a device of two ranges, served to filesystems. */
function fsdevOn(media: Media, trace?: Tracer): Pick<Pmem, "dax"> {
  const layout = [
    [0, 0, 3],
    [3, 3, 5],
  ] as const;
  return fsdevOf(layout, { media, ...(trace === undefined ? {} : { trace }) });
}

/** A raw mapping, by both doors: lines that the program flushes, and what a freeze writes back. */
function useRaw({ dax, disk }: Pmem, promise: Promising): void {
  const mapping = mapRaw(disk, { access: "write" });
  const data = noise(6, 150);
  mapping.copyIn(60, data);
  mapping.flush(60, data.length);
  promise(60, data);
  mapping.copyIn(PAGE_SIZE - 20, data);
  const freeze = RawFreeze.of(dax);
  freeze.freeze();
  promise(PAGE_SIZE - 20, data);
  freeze.thaw();
  mapping.unmap();
}

/** What was handed out may be stored to at any time: syncing writes it back, and unmapping does. */
function useRawBytes({ dax, disk }: Pmem, promise: Promising): void {
  const mapping = mapRaw(disk, { access: "write", offset: PAGE_SIZE, length: PAGE_SIZE });
  assert(mapping.bytes.length === PAGE_SIZE, "all of it");
  const { memory, start } = dax.directAccess(1, 1);
  for (const at of [100, 700, 1500]) {
    copyIn(memory, start + at, noise(at, 90));
    if (at < 1000) AddressSpaces.of(dax).writeBack();
    else mapping.unmap();
    promise(PAGE_SIZE + at, noise(at, 90));
  }
}

/** No page is dirty any more, and one byte of the array is stored to. */
function useCleanBytes({ dax, disk }: Pmem, promise: Promising, how: "flush" | "sync"): void {
  const mapping = mapRaw(disk, { access: "write", offset: PAGE_SIZE, length: PAGE_SIZE });
  assert(mapping.bytes.length === PAGE_SIZE, "all of it");
  const space = AddressSpaces.of(dax);
  if (how === "flush") space.writeBack();
  else mapping.flush();
  const { memory, start } = dax.directAccess(1, 1);
  copyIn(memory, start + 300, noise(3, 90));
  if (how === "flush") mapping.flush();
  else space.writeBack();
  promise(PAGE_SIZE + 300, noise(3, 90));
}

export const stories: readonly Story[] = [
  story("fsdev: copies", (media, promise) => useDax(fsdevOn(media), promise)),
  story("fsdev: stores", (media, promise) => useStores(fsdevOn(media, silent), promise)),
  story("raw: a disk", (media, promise) => useRaw(pmemOn(media), promise)),
  story("raw: what was handed out", (media, promise) => useRawBytes(pmemOn(media), promise)),
  story("raw: what was handed out, and flushed", (media, promise) =>
    useCleanBytes(pmemOn(media), promise, "flush"),
  ),
  story("raw: what was handed out, and synced", (media, promise) =>
    useCleanBytes(pmemOn(media), promise, "sync"),
  ),
];
