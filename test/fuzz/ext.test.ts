/**
 * Damaged ext images: typed errors only, and a bounded number of steps for each.
 * `DAXKIT_FUZZ_CASES=100000 DAXKIT_FUZZ_SEED=7` makes a longer run from another seed.
 */
import { expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import { ExtEditor } from "../support/ext-editor.ts";
import { EXT_FIXTURES, fixtureImage, still } from "../support/ext-images.ts";
import { type Target, damage, targetsOf } from "../support/ext-mutations.ts";
import { walkEverything } from "../support/ext-walk.ts";

const CASES = Number(process.env["DAXKIT_FUZZ_CASES"] ?? 300);
const SEED = Number(process.env["DAXKIT_FUZZ_SEED"] ?? 20_260_807);
/** Reads of the device that one image may cost. */
const MAX_READS = 20_000;

interface Sample {
  readonly name: string;
  readonly editor: ExtEditor;
  readonly targets: readonly Target[];
}

function sampleOf(name: (typeof EXT_FIXTURES)[number]): Sample {
  const editor = new ExtEditor(fixtureImage(name));
  return { name, editor, targets: targetsOf(editor) };
}

function kindOf({ name }: Target): string {
  return name.replaceAll(/\d+/gu, "");
}

/** Structures of each kind are equally likely, however many there are. */
function pickTarget(targets: readonly Target[], prng: Prng): Target {
  const kind = prng.pick([...new Set(targets.map(kindOf))]);
  return prng.pick(targets.filter((target) => kindOf(target) === kind));
}

function counting(bytes: Uint8Array): { disk: BlockDevice; reads: () => number } {
  const disk = new RamDisk({ name: "ram0", bytes, readOnly: true });
  let reads = 0;
  const counted = new Proxy<BlockDevice>(disk, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        if (++reads > MAX_READS) throw new Error(`more than ${MAX_READS} reads`);
        return value.apply(target, args) as unknown;
      };
    },
  });
  return { disk: counted, reads: () => reads };
}

function runCase(sample: Sample, prng: Prng): { story: string[]; outcome: string } {
  const { editor, targets } = sample;
  const story = [sample.name];
  const { disk } = counting(editor.bytes);
  try {
    for (let left = 1 + prng.below(3); left > 0; left--) {
      const target = pickTarget(targets, prng);
      story.push(damage(editor, target, prng));
      if (prng.below(8) !== 0) target.seal(editor);
    }
    const filesystem = ext.mount(disk, { noload: prng.below(2) === 0 }, still);
    const { errors } = walkEverything(filesystem, prng);
    return { story, outcome: errors === 0 ? "read" : "partly read" };
  } catch (error) {
    if (isDaxError(error, "EUCLEAN", "EBADMSG", "ENOTSUP")) return { story, outcome: "refused" };
    throw new Error(`${story.join("; ")}: ${String(error)}`, { cause: error });
  } finally {
    editor.restore();
  }
}

test(
  `${CASES} damaged images from seed ${SEED} give typed errors in bounded steps`,
  () => {
    const samples = EXT_FIXTURES.map(sampleOf);
    const prng = new Prng(SEED);
    const outcomes = new Map<string, number>();
    for (let i = 0; i < CASES; i++) {
      const sample = samples[i % samples.length] as Sample;
      const { outcome } = runCase(sample, new Prng(prng.u32()));
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    // A fuzzer that never gets past the mount, or never hurts, tests nothing.
    expect([...outcomes.keys()].toSorted()).toEqual(["partly read", "read", "refused"]);
  },
  Math.max(30_000, CASES * 200),
);
