/**
 * What the NBD server acknowledges, held against the crash model: power is cut at every instant of
 * a conversation, in every state that the model allows, and everything that a client was told is
 * durable (by a FLUSH, or by FUA) is looked for.
 */
import { describe, expect, test } from "vitest";
import { type Findings, explore } from "../../src/crash/explorer.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { ModelledMedia, type ModelledOptions } from "../../src/media/modelled.ts";
import { BlockStore } from "../../src/nbd/block-store.ts";
import { MediaStore } from "../../src/nbd/media-store.ts";
import type { NbdStore } from "../../src/nbd/store.ts";
import { same } from "../support/bytes.ts";
import { NbdClient, type Promised, nbdWorkload } from "../support/nbd-promises.ts";

const SIZE = 64 * 1024;

/** The latest promises; older ones lie in lines that nobody has touched since. */
function checkPromises(media: ModelledMedia, acked: readonly unknown[]): string | undefined {
  for (const { at, bytes } of (acked as readonly Promised[]).slice(-6)) {
    const found = copyOf(media.window(at).memory, at, bytes.length);
    if (!same(found, bytes)) return `bytes ${at}+${bytes.length} are not what was promised`;
  }
  return undefined;
}

function cutEverywhere(
  storeOf: (media: ModelledMedia) => NbdStore,
  modelled: ModelledOptions,
  stopAtFirst: boolean,
): Findings {
  const media = new ModelledMedia(SIZE, modelled);
  // Full of ones, so that zeros which did not arrive are seen.
  const initial = new Uint8Array(SIZE).fill(0xff);
  media.recorder.image.set(initial);
  const store = storeOf(media);
  const client = new NbdClient(store, (promise) => media.ack(promise));
  nbdWorkload(client, store.blockSizes.minimum);
  const { trace } = media;
  const program = { check: checkPromises };
  const limits = { depth: 1, budget: { leaves: 200_000, steps: 1_000_000 }, stopAtFirst };
  return explore({ initial, modelled, trace, program, torn: "line", ...limits });
}

/** Whether a state that fails is found. */
function isFoundOut(storeOf: (media: ModelledMedia) => NbdStore): boolean {
  return cutEverywhere(storeOf, {}, true).failure !== undefined;
}

const mediaStore = (media: ModelledMedia): NbdStore => new MediaStore(media);

function pmemStore(media: ModelledMedia): NbdStore {
  const pmem = createPmem({ name: "pmem0", media, start: 0, length: SIZE, physicalStart: 0 });
  return new BlockStore(pmem.disk);
}

/** A store with a bug; `always` also where it knows writes that are durable by themselves. */
function broken(
  storeOf: typeof mediaStore,
  bug: Partial<NbdStore>,
  always: boolean,
): typeof mediaStore {
  return (media) => {
    const store = Object.assign(storeOf(media), bug);
    if (always && store.writeThrough !== undefined) store.writeThrough = store.write.bind(store);
    return store;
  };
}

const stores = [
  { name: "media", storeOf: mediaStore },
  { name: "a pmem disk", storeOf: pmemStore },
];

describe.each(stores)("$name behind NBD", ({ storeOf }) => {
  test.each([
    { domain: "adr" as const, points: 6 },
    { domain: "eadr" as const, points: 1 },
  ])("loses nothing that FLUSH or FUA acknowledged: $domain", ({ domain, points }) => {
    const found = cutEverywhere(storeOf, { domain }, false);
    expect(found.unmeasurable).toBe(undefined);
    expect(found.cut).toBe(false);
    expect(found.tallies[0]?.covered).toBe(found.tallies[0]?.space);
    expect(found.failure).toBe(undefined);
    expect(found.tallies[0]?.crashPoints).toBeGreaterThanOrEqual(points);
  });

  test("is found out when FUA is ignored", () => {
    expect(isFoundOut(broken(storeOf, { persist: () => {} }, true))).toBe(true);
  });

  test("is found out when FLUSH is ignored", () => {
    expect(isFoundOut(broken(storeOf, { flush: () => {} }, false))).toBe(true);
  });
});

test("media is found out when FUA writes back less than the range", () => {
  const found = isFoundOut((media) => {
    const store = new MediaStore(media);
    const persist = store.persist.bind(store);
    return Object.assign(store, {
      persist: (offset: number, length: number) => {
        persist(offset, Math.max(1, length - 64));
      },
    });
  });
  expect(found).toBe(true);
});
