/**
 * Healing in its order: poison goes from the media, then from the caches, then the data is stored,
 * and the record of bad blocks goes last. Power is cut everywhere on the way.
 */
import { describe, expect, test } from "vitest";
import { type Findings, explore } from "../../src/crash/explorer.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { createPmem, type Pmem } from "../../src/drivers/pmem.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";
import { PoisonMedia } from "../../src/media/poison.ts";
import { TraceKind } from "../../src/media/trace.ts";
import { codeOf, noise, same } from "../support/bytes.ts";

const SIZE = 4 * PAGE_SIZE;
const BAD = PAGE_SIZE;

/** What happened, in the trace beside the stores. */
type Note =
  | { readonly what: "cleared" | "invalidated" | "forgotten" | "fenced" }
  | { readonly what: "promised"; readonly at: number; readonly bytes: Uint8Array };

interface Healing {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly heal: (pmem: Pmem) => void;
  /** Makes durable what was healed. */
  readonly finish: (pmem: Pmem) => void;
}

const data = noise(7, PAGE_SIZE);
const fence = ({ dax }: Pmem): void => dax.fence();
const flush = ({ disk }: Pmem): void => disk.flush();
const ways: readonly Healing[] = [
  {
    name: "recovery_write",
    bytes: data,
    heal: ({ dax }) => void dax.recoveryWrite(1, 0, data),
    finish: fence,
  },
  {
    name: "zero_page_range",
    bytes: new Uint8Array(PAGE_SIZE),
    heal: ({ dax }) => dax.zeroPageRange(1, 1),
    finish: fence,
  },
  {
    name: "a write of sectors",
    bytes: data,
    heal: ({ disk }) => disk.write(BAD / 512, data),
    finish: flush,
  },
  {
    name: "zeros to sectors",
    bytes: new Uint8Array(PAGE_SIZE),
    heal: ({ disk }) => disk.writeZeroes(BAD / 512, PAGE_SIZE / 512),
    finish: flush,
  },
];

/** A device whose media and table write into the trace what becomes of poison. */
function watched(): { readonly pmem: Pmem; readonly media: ModelledMedia } {
  const media = new ModelledMedia(SIZE);
  media.recorder.image.fill(0xff);
  const poison = new PoisonMedia(media);
  const note = (what: "cleared" | "invalidated" | "forgotten"): void => media.ack({ what });
  const clear = poison.clearPoison.bind(poison);
  const invalidate = poison.invalidate.bind(poison);
  Object.assign(poison, {
    clearPoison: (offset: number, length: number): number => {
      const good = clear(offset, length);
      note("cleared");
      return good;
    },
    invalidate: (offset: number, length: number): void => {
      invalidate(offset, length);
      note("invalidated");
    },
  });
  const pmem = createPmem({
    name: "pmem0",
    media: poison,
    start: 0,
    length: SIZE,
    physicalStart: 0,
  });
  poison.injectPoison(BAD, 512);
  pmem.poison.table.add(BAD / 512, 1);
  const { table } = pmem.poison;
  const forget = table.clear.bind(table);
  Object.assign(table, {
    clear: (sector: number, sectors: number): void => {
      forget(sector, sectors);
      note("forgotten");
    },
  });
  return { pmem, media };
}

/** Cuts the power everywhere; `judge` says what is wrong with a state, given what had happened. */
function cutEverywhere(
  way: Healing,
  judge: (media: ModelledMedia, notes: readonly Note[]) => string | undefined,
): Findings {
  const { pmem, media } = watched();
  const initial = media.recorder.image.slice();
  way.heal(pmem);
  way.finish(pmem);
  media.ack({ what: "promised", at: BAD, bytes: way.bytes } satisfies Note);
  const found = explore({
    initial,
    modelled: {},
    trace: media.trace,
    program: { check: (state, acked) => judge(state, acked as readonly Note[]) },
    torn: "line",
    depth: 1,
    budget: { leaves: 100_000, steps: 1_000_000 },
  });
  expect(found.unmeasurable).toBe(undefined);
  expect(found.cut).toBe(false);
  return found;
}

const bytesAt = (media: ModelledMedia, at: number, length: number): Uint8Array =>
  copyOf(media.window(at).memory, at, length);

describe.each(ways)("$name", (way) => {
  test("[0.44] clears, invalidates, stores, and takes the record away last", () => {
    const { pmem, media } = watched();
    // Until the record goes every reader is kept off, whatever the media says by then.
    let lettingIn = 0;
    media.recorder.witness = {
      stored: () => {
        if (pmem.poison.first(BAD, PAGE_SIZE) === undefined) lettingIn++;
      },
    };
    way.heal(pmem);
    media.recorder.witness = undefined;
    expect(lettingIn).toBe(0);
    expect(codeOf(() => pmem.dax.directAccess(1, 1))).toBe(undefined);
    const { trace } = media;
    const order = Array.from({ length: trace.count }, (_, event) => {
      const kind = trace.kindOf(event);
      if (kind === TraceKind.ack) return (trace.labels[trace.dataOf(event)] as Note).what;
      return kind < TraceKind.flush ? "stored" : "";
    }).filter((word) => word !== "");
    const once = order.filter((word, i) => word !== order[i - 1]);
    expect(once).toEqual(["cleared", "invalidated", "stored", "forgotten"]);
  });

  test("what was healed and made durable is there after every cut, and its neighbours are", () => {
    const found = cutEverywhere(way, (media, notes) => {
      const around = [bytesAt(media, 0, BAD), bytesAt(media, BAD + PAGE_SIZE, PAGE_SIZE)];
      if (around.some((page) => page.some((byte) => byte !== 0xff))) return "a neighbour changed";
      const promised = notes.findLast((note) => note.what === "promised");
      if (promised?.what !== "promised") return undefined;
      return same(bytesAt(media, promised.at, PAGE_SIZE), promised.bytes) ? undefined : "lost";
    });
    expect(found.failure).toBe(undefined);
    expect(found.tallies[0]?.crashPoints).toBeGreaterThanOrEqual(1);
  });

  // Firmware clears at once and data waits for its fence: so there is a time at which the page can
  // be read and holds neither. Only who made it durable may count on it.
  test("between clearing and the fence a cut leaves a page that reads, and may be torn", () => {
    const found = cutEverywhere(way, (media, notes) => {
      if (!notes.some(({ what }) => what === "cleared")) return undefined;
      // Two lines of the page stand for all of them: 64 would be more states than can be told.
      return [BAD, BAD + PAGE_SIZE - 64].every((at) =>
        same(bytesAt(media, at, 64), way.bytes.subarray(at - BAD, at - BAD + 64)),
      )
        ? undefined
        : "not there yet";
    });
    expect(found.failure).not.toBe(undefined);
  });
});
