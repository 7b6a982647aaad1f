/**
 * What fails when power is back: what there is that could fail is seen in the runs without a fault.
 *
 * @module
 */
import type { ModelledMedia } from "../../media/modelled.ts";
import type { Observer } from "../../media/recorder.ts";
import type { Fault, FaultNote } from "./faults.ts";
import type { Underlay } from "./underlay.ts";

/** What a program that runs after power is back is to meet, and is told of. */
export interface Misfortune {
  /** What the check is told. */
  readonly faults: readonly FaultNote[];
  /** What fails in recovery. */
  readonly fault?: Fault | undefined;
  /** Notes what could fail. */
  readonly looks?: RecoveryLooks | undefined;
}

/** What recoveries and checks looked at. */
export class RecoveryLooks {
  readonly sectors = new Set<number>();
  /** Reads of `recover` that might have been short, in the run that made most of them. */
  shortReads = 0;
  readonly #sectorOf: (at: number) => number;

  constructor({ sectorOf }: Underlay) {
    this.#sectorOf = sectorOf;
  }

  /** Notes the loads of one run, beside whoever observes them. */
  watch({ recorder }: ModelledMedia): void {
    const { observer } = recorder;
    if (observer instanceof NotingObserver) return;
    recorder.observer = new NotingObserver(observer, (at, length) => {
      const last = this.#sectorOf(at + length - 1);
      for (let each = at; ; each += 64) {
        const sector = this.#sectorOf(each);
        this.sectors.add(Math.min(sector, last));
        if (sector >= last) break;
      }
    });
  }
}

class NotingObserver implements Observer {
  readonly #inner: Observer | undefined;
  readonly #note: (at: number, length: number) => void;

  constructor(inner: Observer | undefined, note: (at: number, length: number) => void) {
    this.#inner = inner;
    this.#note = note;
  }

  load(at: number, length: number): void {
    this.#note(at, length);
    this.#inner?.load(at, length);
  }

  store(at: number, length: number): void {
    this.#inner?.store(at, length);
  }

  order(at: number, length: number): void {
    this.#inner?.order(at, length);
  }
}

/** Whether an error is, or came from, one that reading or writing a device gives. */
export function isDeviceError(error: unknown): boolean {
  for (let each = error, depth = 0; each instanceof Error && depth < 8; depth++) {
    const { code, cause } = each as Error & { code?: unknown };
    if (code === "EIO" || code === "EHWPOISON") return true;
    each = cause;
  }
  return false;
}
