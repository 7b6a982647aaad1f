/**
 * Power cuts inside the recovery of a recorded disk, against brute force: every state of the first
 * cut is recovered for real, and every state of each cut of that is checked.
 */
import { expect, test } from "vitest";
import { ObservedExplorer } from "../../src/crash/block-explorer.ts";
import { BlockFrontier } from "../../src/crash/block-frontier.ts";
import { BlockImage } from "../../src/crash/block-image.ts";
import { type DiskProgram, RecoveryExplorer } from "../../src/crash/block-recovery.ts";
import { parseState, stopName } from "../../src/crash/block-states.ts";
import { stopsOf } from "../../src/crash/block-stops.ts";
import type { BlockEvent, BlockTrace } from "../../src/crash/block-trace.ts";
import { Prng } from "../../src/lib/prng.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";
import { naiveStops } from "../support/naive-block.ts";

const SECTORS = 8;
const SIZE = SECTORS * 512;
const ALL = { at: [], reorder: true } as const;
const BUDGET = { runs: 1_000_000, steps: 10_000, seed: 1 };

function sectorOf(value: number): Uint8Array {
  return new Uint8Array(512).fill(value, 0, 1);
}

function randomTrace(prng: Prng): BlockTrace {
  const events = Array.from({ length: 2 + prng.below(6) }, (): BlockEvent => {
    const kind = prng.below(7);
    if (kind === 0) return { kind: "flush" };
    const sector = prng.below(3);
    const data = sectorOf(prng.below(3) === 0 ? 0 : 1);
    return { kind: "write", sector, length: 512, data, fua: kind === 1 };
  });
  return { size: SIZE, events };
}

/** What a recovery does that finds these bytes at the start of its sectors. */
interface Disk {
  byte(sector: number): number;
  write(sector: number, value: number, fua: boolean): void;
  flush(): void;
}

/** A log in sectors 1 and 2, whose head is sector 0; a forgetful one misses a flush. */
function recover(disk: Disk, forgetful: boolean): void {
  if (disk.byte(0) === 0) return;
  disk.write(3, disk.byte(1), false);
  disk.write(4, disk.byte(2), false);
  if (!forgetful) disk.flush();
  disk.write(0, 0, true);
}

function said(byte: (sector: number) => number): string | undefined {
  const [head, two, home, away] = [0, 2, 3, 4].map(byte);
  if (head !== 0) return undefined;
  return home === 1 && away !== two ? `home ${home}, away ${away}` : undefined;
}

function programOf(forgetful: boolean): DiskProgram {
  return {
    refused: undefined,
    recover: (disk) => {
      const sector = new Uint8Array(512);
      recover(
        {
          byte: (at) => (disk.read(at, sector), sector[0] as number),
          write: (at, value, fua) => disk.write(at, sectorOf(value), { fua }),
          flush: () => disk.flush(),
        },
        forgetful,
      );
    },
    check: (disk) => {
      const sector = new Uint8Array(512);
      return said((at) => (disk.read(at, sector), sector[0] as number));
    },
  };
}

/** What the recovery from one state did. */
function recovered(state: Uint8Array, forgetful: boolean): BlockEvent[] {
  const bytes = Array.from({ length: SECTORS }, (_, at) => state[at * 512] as number);
  const events: BlockEvent[] = [];
  const disk: Disk = {
    byte: (at) => bytes[at] as number,
    write(at, value, fua) {
      bytes[at] = value;
      events.push({ kind: "write", sector: at, length: 512, data: sectorOf(value), fua });
    },
    flush: () => void events.push({ kind: "flush" }),
  };
  recover(disk, forgetful);
  return events;
}

/** States of a second cut, and those that fail after a recovery that comes to its end. */
function bruteForce(states: Iterable<Uint8Array>, forgetful: boolean): [bigint, bigint] {
  let [space, failing] = [0n, 0n];
  for (const state of states) {
    const events = recovered(state, forgetful);
    if (events.length === 0) continue;
    const data = state.slice();
    const first: BlockEvent = { kind: "write", sector: 0, length: SIZE, data, fua: false };
    const trace = { size: SIZE, events: [first, { kind: "flush" } as const, ...events] };
    for (const stop of naiveStops(trace).slice(1)) {
      for (const left of stop.states()) {
        space++;
        const end = left.slice();
        for (const event of recovered(end, forgetful)) {
          if (event.kind === "write") end.set(event.data, event.sector * 512);
        }
        if (said((at) => end[at * 512] as number) !== undefined) failing++;
      }
    }
  }
  return [space, failing];
}

test("states and failures of second cuts are those that brute force counts", () => {
  const prng = new Prng(5);
  let [cut, bad, named] = [0, 0, 0];
  for (let round = 0; round < 200; round++) {
    const forgetful = round % 2 === 0;
    const trace = randomTrace(prng);
    const { recorder } = new ModelledMedia(SIZE);
    const frontier = new BlockFrontier(new BlockImage(recorder.image), { unit: 512 });
    const content = new ObservedExplorer(frontier, BUDGET, recorder, () => undefined);
    const explorer = new RecoveryExplorer(content, programOf(forgetful));
    const naive = new Map(naiveStops(trace).map((stop) => [stop.name, stop]));
    for (const stop of stopsOf(trace, ALL, frontier)) {
      const { recovery, failure } = explorer.explore(stop);
      const states = naive.get(stopName(stop))?.states() ?? [];
      const [space, failing] = bruteForce(states, forgetful);
      expect(recovery?.covered).toBe(recovery?.space);
      expect(recovery?.space).toBe(space);
      if (space > 0n) cut++;
      if (failing > 0n) bad++;
      // Those of the first cut that fail are counted with them.
      expect((recovery?.failing ?? 0n) >= failing).toBe(true);
      expect(failure !== undefined || failing === 0n).toBe(true);
      if (failure === undefined) continue;
      const { inner = "" } = parseState(failure.state);
      expect(explorer.inner(stop, inner).said).toBe(failure.said);
      named++;
    }
  }
  expect([cut > 100, bad > 20, named >= bad]).toEqual([true, true, true]);
});
