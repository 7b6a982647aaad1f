/**
 * Trace events as text: a line of JSON each, or the trace-event format of Chrome, which Perfetto
 * opens (https://ui.perfetto.dev).
 *
 * @module
 */
import type { DaxTraceEvent } from "./trace-events.ts";

/** How a trace is written. */
export type DaxTraceFormat = "lines" | "perfetto";

/** A format's text, piece by piece. Times are in nanoseconds from any moment on. */
export interface DaxTraceText {
  /** What an event adds. */
  event(event: DaxTraceEvent, nanoseconds: number): string;
  /** What comes last. */
  end(): string;
}

/** The text of a trace, which begins with nothing. */
export function daxTraceText(format: DaxTraceFormat): DaxTraceText {
  return format === "lines" ? new Lines() : new Perfetto();
}

/** `{"ns":…,"point":"dax_pte_fault",…}` */
class Lines implements DaxTraceText {
  event({ point, fields }: DaxTraceEvent, nanoseconds: number): string {
    return `${JSON.stringify({ ns: nanoseconds, point, ...fields })}\n`;
  }

  end(): string {
    return "";
  }
}

/** What has begun and was not done yet. */
interface Begun {
  readonly event: DaxTraceEvent;
  readonly nanoseconds: number;
}

const DONE = "_done";
/** Points that are followed by their `_done`. */
const LASTING = new Set(["dax_pte_fault", "dax_pmd_fault", "dax_writeback_range"]);

/**
 * Slices for what lasts, instants for what does not. A fault that failed was never done: it becomes
 * an instant where the trace ends, or where something around it is done.
 */
class Perfetto implements DaxTraceText {
  readonly #begun: Begun[] = [];
  #isFirst = true;

  event(event: DaxTraceEvent, nanoseconds: number): string {
    const { point, fields } = event;
    if (LASTING.has(point)) {
      this.#begun.push({ event, nanoseconds });
      return "";
    }
    if (!point.endsWith(DONE)) return this.#record(instant(event, nanoseconds));
    const name = point.slice(0, -DONE.length);
    const at = this.#begun.findLastIndex((begun) => begun.event.point === name);
    if (at === -1) return this.#record(instant(event, nanoseconds));
    const [begun, ...failed] = this.#begun.splice(at) as [Begun, ...Begun[]];
    const start = begun.nanoseconds / 1000;
    const lasted = (nanoseconds - begun.nanoseconds) / 1000;
    const slice = {
      name,
      ph: "X",
      ts: start,
      dur: lasted,
      args: { ...begun.event.fields, ...fields },
    };
    return this.#records([...failed.map(unfinished), slice]);
  }

  end(): string {
    const rest = this.#records(this.#begun.splice(0).map(unfinished));
    const open = this.#isFirst ? '{"displayTimeUnit":"ns","traceEvents":[' : "";
    return `${open}${rest}\n]}\n`;
  }

  #records(records: readonly object[]): string {
    return records.map((record) => this.#record(record)).join("");
  }

  #record(record: object): string {
    const before = this.#isFirst ? '{"displayTimeUnit":"ns","traceEvents":[\n' : ",\n";
    this.#isFirst = false;
    return before + JSON.stringify({ cat: "fs_dax", pid: 1, tid: 1, ...record });
  }
}

function instant({ point, fields }: DaxTraceEvent, nanoseconds: number): object {
  return { name: point, ph: "i", s: "t", ts: nanoseconds / 1000, args: fields };
}

function unfinished({ event, nanoseconds }: Begun): object {
  const { point, fields } = event;
  return {
    name: point,
    ph: "i",
    s: "t",
    ts: nanoseconds / 1000,
    args: { ...fields, unfinished: 1 },
  };
}
