/**
 * Whether freezing has to stop stores that are no requests.
 *
 * @module
 */
import { mapRaw } from "../../block/raw-device.ts";
import { RawFreeze } from "../../dax/raw-freeze.ts";
import { isDaxError } from "../../lib/errno.ts";
import { copyOf } from "../../lib/memory.ts";
import { uniformDomain } from "../../media/domains.ts";
import type { Media } from "../../media/media.ts";
import { RamMedia } from "../../media/ram.ts";
import type { FileTree } from "../../vfs/file-tree.ts";
import { freezeFilesystem, thawFilesystem } from "../../vfs/freezing.ts";
import type { Mapping } from "../../vfs/mapping.ts";
import type { Acted, Exhibit } from "./exhibit.ts";
import { newTree, pmemOver } from "./parts.ts";

const SIZE = 8 << 20;
const PAGE = 4096;

export const liveFreeze: Exhibit = {
  name: "live-freeze",
  question: "Does a frozen filesystem stand still while programs store to mapped files?",
  argued: [
    "A block device is frozen by stopping its queue, and a filesystem by holding its calls (2015).",
    "With DAX a store is neither a call nor a request, so nothing stops it: a snapshot that is " +
      "taken meanwhile has half of what a program stored.",
  ],
  settled:
    "Freezing takes the right to store from every mapping, raw ones of the device included. A " +
    "store then waits for thaw, or fails with EAGAIN, and the media does not change by one bit.",
  run: acted,
};

function acted(): Acted {
  const before = snapshotOf(() => {});
  const after = snapshotOf(({ mounts }) => freezeFilesystem(mounts.root.filesystem));
  return {
    scene: [
      "a program keeps two pages of a mapped file equal: it stores 2 over 1, to both",
      "a snapshot copies the device; the program's stores come between the two pages",
    ],
    figures: [
      { what: "requests held: pages of the snapshot", counted: before.pages, expected: "1 and 2" },
      { what: "frozen: pages of the snapshot", counted: after.pages, expected: "1 and 1" },
      { what: "frozen: the program's stores", counted: after.stores, expected: "EAGAIN, EAGAIN" },
      { what: "frozen: bytes of media that changed", counted: after.changed, expected: 0 },
      { what: "thawed: the program's stores", counted: after.later, expected: "done, done" },
      { what: "frozen device, mapped raw: a store", counted: rawStore(), expected: "EAGAIN" },
    ],
  };
}

/** What a snapshot has, and what the program met. */
interface Snapshot {
  readonly pages: string;
  readonly stores: string;
  readonly changed: number;
  readonly later: string;
}

/** Takes a snapshot after `quiesce`, page by page, while a program goes on. */
function snapshotOf(quiesce: (tree: FileTree) => void): Snapshot {
  const media = new RamMedia(SIZE, { domains: uniformDomain(SIZE, "adr") });
  const tree = newTree(pmemOver(media).disk);
  const file = tree.open("/data", { create: true, access: "readwrite" });
  file.pwrite(new Uint8Array(2 * PAGE).fill(1), 0);
  const [extent] = [...file.extents()];
  const mapping = file.map({ access: "write" });
  quiesce(tree);
  const whole = bytesOf(media, 0, SIZE);
  const at = extent?.addr ?? 0;
  const [first] = bytesOf(media, at, 1);
  const stores = [storeTo(mapping, PAGE), storeTo(mapping, 0)].join(", ");
  const [second] = bytesOf(media, at + PAGE, 1);
  const changed = differences(whole, bytesOf(media, 0, SIZE));
  const { filesystem } = tree.mounts.root;
  if (filesystem.freezing?.frozen === true) thawFilesystem(filesystem);
  const later = [storeTo(mapping, PAGE), storeTo(mapping, 0)].join(", ");
  tree.close({ revoke: true, mediaCloses: true });
  return { pages: `${first} and ${second}`, stores, changed, later };
}

/** The store of a program, and how it went. */
function storeTo(memory: Pick<Mapping, "setUint8">, at: number): string {
  try {
    memory.setUint8(at, 2);
    return "done";
  } catch (error) {
    if (isDaxError(error)) return error.code;
    throw error;
  }
}

/** A store through a mapping of a whole device, whose queue is stopped. */
function rawStore(): string {
  const { disk, dax } = pmemOver(new RamMedia(SIZE));
  const mapping = mapRaw(disk, { access: "write" });
  RawFreeze.of(dax).freeze();
  const went = storeTo(mapping, 0);
  RawFreeze.of(dax).thaw();
  mapping.unmap();
  return went;
}

function bytesOf(media: Media, start: number, length: number): Uint8Array {
  return copyOf(media.window(start).memory, start, length);
}

function differences(one: Uint8Array, other: Uint8Array): number {
  return one.reduce((count, byte, at) => count + (byte === other[at] ? 0 : 1), 0);
}
