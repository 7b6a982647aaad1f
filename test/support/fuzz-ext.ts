/**
 * Damaged ext images: everything that reads them, on devices with and without dax, with the
 * checksums made right again most of the time so that what is behind them is reached.
 */
import type { BlockDevice } from "../../src/block/block-device.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import type { ErrnoCode } from "../../src/lib/errno.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { ExtEditor } from "./ext-editor.ts";
import { paletteOf, structuresOf } from "./ext-structures.ts";
import type { CaseNotes, FuzzSubject, FuzzTarget } from "./fuzz.ts";
import { StructurePool, damage } from "./fuzz-damage.ts";
import { Fuel, FuelMedia, fuelDisk } from "./fuzz-fuel.ts";
import { READERS, type Reader } from "./fuzz-readers.ts";
import { TINY_IMAGES, packedImage } from "./tiny-images.ts";

/** Loads and bytes that one reader may spend on one image. */
const FUEL = { steps: 100_000, bytes: 64 << 20 };

/** Errors that speak of damage, and not of what a file or a device cannot do. */
const DAMAGE: ReadonlySet<ErrnoCode> = new Set(["EUCLEAN", "EBADMSG"]);

const LARGE_IMAGES = ["ext/ext2-4k", "ext/ext4-default", "ext/ext4-inline", "ext/ext4-bigalloc"];

/** An image in memory, and what it is made of. */
export class DamagedImage {
  readonly name: string;
  readonly editor: ExtEditor;
  readonly #pool: StructurePool;
  readonly #palette: readonly number[];

  /** `name` is that of a file below `fixtures`, without `.img.gz`. */
  constructor(name: string) {
    this.name = name;
    this.editor = new ExtEditor(packedImage(name));
    const structures = structuresOf(this.editor);
    this.#pool = new StructurePool(structures);
    this.#palette = paletteOf(this.editor, structures);
  }

  /** Damages one to three structures. */
  damage(prng: Prng, notes: CaseNotes): void {
    for (let left = 1 + prng.below(3); left > 0; left--) {
      const structure = this.#pool.pick(prng);
      notes.say(damage(this.editor, structure, prng, this.#palette));
      if (prng.below(8) !== 0) structure.seal?.();
      else notes.say("not sealed");
    }
  }

  /** Damages what no structure explains: blocks swapped, taken from another image, or noise. */
  damageBlocks(other: DamagedImage, prng: Prng, notes: CaseNotes): void {
    const { bytes, blockSize } = this.editor;
    const blocks = bytes.length / blockSize;
    for (let left = 1 + prng.below(3); left > 0; left--) {
      const [to, from] = [prng.below(blocks), prng.below(blocks)];
      const source = prng.pick([this, other]).editor.bytes;
      const at = (from * blockSize) % source.length;
      this.editor.write(to * blockSize, source.slice(at, at + blockSize));
      notes.say(`block ${to} := byte ${at} of ${source === bytes ? "the same" : other.name}`);
    }
    if (prng.below(2) === 0) this.editor.sealSuperblock();
  }

  /** The image, or with luck less of it. */
  cut(prng: Prng, notes: CaseNotes): Uint8Array<ArrayBuffer> {
    const { bytes } = this.editor;
    if (prng.below(12) !== 0) return bytes;
    const length = prng.pick([512, 1024, 2048, 3072, 65_536, prng.below(bytes.length)]);
    notes.say(`cut to ${length} bytes`);
    return bytes.subarray(0, length);
  }
}

/** A disk of some kind over the bytes of an image. */
export function diskOver(
  bytes: Uint8Array<ArrayBuffer>,
  prng: Prng,
  notes: CaseNotes,
): BlockDevice {
  const fuel = new Fuel(FUEL.steps, FUEL.bytes);
  const kind = prng.pick(["block", "recorded dax", "plain dax"] as const);
  notes.say(`${kind} disk`);
  if (kind === "block" || bytes.length < 4096) return fuelDisk("ram0", bytes, fuel);
  const media = kind === "plain dax" ? RamMedia.over(bytes) : new FuelMedia(bytes, fuel);
  const length = bytes.length - (bytes.length % 4096);
  return createPmem({ name: "pmem0", media, start: 0, length, physicalStart: 2 ** 32 }).disk;
}

class ExtSubject implements FuzzSubject {
  readonly #images: readonly DamagedImage[];

  constructor(names: readonly string[]) {
    this.#images = names.map((name) => new DamagedImage(name));
  }

  run(prng: Prng, notes: CaseNotes): string {
    const image = prng.pick(this.#images);
    notes.say(image.name);
    try {
      if (prng.below(8) !== 0) image.damage(prng, notes);
      else image.damageBlocks(prng.pick(this.#images), prng, notes);
      const bytes = image.cut(prng, notes);
      const name = prng.pick(Object.keys(READERS));
      notes.say(name);
      (READERS[name] as Reader)(diskOver(bytes, prng, notes), prng, notes);
      const hurt = notes.errors.some((code) => DAMAGE.has(code));
      return hurt ? `${name} with errors` : name;
    } finally {
      image.editor.restore();
    }
  }

  audit(): void {
    for (const image of this.#images) image.editor.audit();
  }
}

/** Small images, each structure of ext2, ext3 and ext4 in turn. */
export const extTarget: FuzzTarget = {
  name: "ext",
  weight: 60,
  reaches: ["check", "refused", "tar", "walk with errors", "EUCLEAN", "EBADMSG"],
  open: () => new ExtSubject(TINY_IMAGES.map((name) => `ext-tiny/${name}`)),
};

/** Images of 16 MiB that Linux wrote, with hundreds of files. */
export const largeExtTarget: FuzzTarget = {
  name: "ext-large",
  weight: 2,
  reaches: ["refused"],
  open: () => new ExtSubject(LARGE_IMAGES),
};
