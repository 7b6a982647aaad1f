/**
 * What a power cut may leave of a disk, counted in the plainest way: every sector has a list of
 * what it held since it was last durable, and all combinations are made. Knows nothing of the
 * explorer.
 */
import type { BlockTrace } from "../../src/crash/block-trace.ts";

const SECTOR = 512;

/** All raw states at one instant. */
export interface NaiveStop {
  readonly name: string;
  readonly space: bigint;
  /** Makes each state in turn, the same array every time. */
  states(): Generator<Uint8Array, void>;
}

class NaiveDisk {
  readonly histories: Uint8Array[][];

  constructor(size: number) {
    this.histories = Array.from({ length: size / SECTOR }, () => [new Uint8Array(SECTOR)]);
  }

  push(sector: number, content: Uint8Array): void {
    this.histories[sector]!.push(content);
  }

  newest(sector: number): Uint8Array {
    return this.histories[sector]!.at(-1)!;
  }

  settle(sector: number): void {
    this.histories[sector] = [this.newest(sector)];
  }

  stop(name: string): NaiveStop {
    const histories = this.histories.map((history) => [...history]);
    const space = histories.reduce((product, { length }) => product * BigInt(length), 1n);
    return { name, space, states: () => combinations(histories) };
  }
}

function* combinations(histories: readonly Uint8Array[][]): Generator<Uint8Array, void> {
  const bytes = new Uint8Array(histories.length * SECTOR);
  const digits = histories.map(() => 0);
  for (;;) {
    for (const [sector, history] of histories.entries()) {
      bytes.set(history[digits[sector]!]!, sector * SECTOR);
    }
    yield bytes;
    let at = 0;
    while (at < digits.length && digits[at] === histories[at]!.length - 1) digits[at++] = 0;
    if (at === digits.length) return;
    digits[at]!++;
  }
}

/** The stops of a trace, with units of 512 bytes that are not torn. */
export function naiveStops(trace: BlockTrace): NaiveStop[] {
  const disk = new NaiveDisk(trace.size);
  const stops: NaiveStop[] = [];
  let entry = 0;
  for (const event of trace.events) {
    if (event.kind === "flush") {
      stops.push(disk.stop(`${entry}f`));
      for (const sector of disk.histories.keys()) disk.settle(sector);
    } else if (event.kind === "write") {
      const count = event.length / SECTOR;
      for (let i = 0; i < count; i++) {
        disk.push(event.sector + i, event.data.slice(i * SECTOR, (i + 1) * SECTOR));
      }
      if (event.fua) {
        stops.push(disk.stop(`${entry}w`));
        for (let i = 0; i < count; i++) disk.settle(event.sector + i);
      }
    } else if (event.kind === "discard") {
      for (let i = 0; i < event.count; i++) disk.push(event.sector + i, new Uint8Array(SECTOR));
    }
    entry++;
  }
  stops.push(disk.stop(`${entry}e`));
  return stops;
}
