/**
 * Dax trace events in files: as lines of JSON, and as Perfetto opens them.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type DaxTraceEvent, daxTrace } from "../../src/dax/trace-events.ts";
import { daxTraceText } from "../../src/dax/trace-text.ts";
import { traceDaxToFile } from "../../src/node/dax-trace-file.ts";
import { places, scratch } from "../support/scratch.ts";

const of = (point: DaxTraceEvent["point"], pgoff = 0): DaxTraceEvent => ({
  point,
  fields: { dev: "pmem0", ino: 12, pgoff },
});

/** A fault, write-back of a page, and a fault that fails. */
const story: readonly (readonly [DaxTraceEvent, number])[] = [
  [of("dax_pte_fault", 3), 1000],
  [of("dax_insert_mapping", 3), 1500],
  [of("dax_pte_fault_done", 3), 2000],
  [of("dax_writeback_range"), 3000],
  [of("dax_pte_fault", 9), 3200],
  [of("dax_writeback_one", 3), 3500],
  [of("dax_writeback_range_done"), 4000],
];

interface Slice {
  readonly name: string;
  readonly ph: string;
  readonly ts: number;
  readonly dur?: number;
  readonly args: Readonly<Record<string, unknown>>;
}

function perfetto(events: readonly (readonly [DaxTraceEvent, number])[]): Slice[] {
  const text = daxTraceText("perfetto");
  const pieces = events.map(([event, ns]) => text.event(event, ns));
  const whole = [...pieces, text.end()].join("");
  return (JSON.parse(whole) as { traceEvents: Slice[] }).traceEvents;
}

describe("[0.3] a trace as text", () => {
  test("is a line of JSON for each event, with Linux's names and fields", () => {
    const text = daxTraceText("lines");
    const lines = story.map(([event, ns]) => text.event(event, ns)).join("") + text.end();
    const [first, ...rest] = lines
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as object);
    expect(first).toEqual({ ns: 1000, point: "dax_pte_fault", dev: "pmem0", ino: 12, pgoff: 3 });
    expect(rest.length).toBe(story.length - 1);
  });

  test("has slices for what lasts, in microseconds, and instants for what does not", () => {
    const slices = perfetto(story.slice(0, 3));
    expect(slices.map(({ name, ph }) => `${ph} ${name}`)).toEqual([
      "i dax_insert_mapping",
      "X dax_pte_fault",
    ]);
    expect(slices[1]).toMatchObject({ ts: 1, dur: 1, args: { dev: "pmem0", pgoff: 3 } });
  });

  test("a fault that failed is an instant, and nothing else's slice is longer for it", () => {
    const slices = perfetto(story);
    const failed = slices.find(({ args }) => args["unfinished"] === 1);
    expect(failed).toMatchObject({ name: "dax_pte_fault", ph: "i", ts: 3.2, args: { pgoff: 9 } });
    const range = slices.find(({ name }) => name === "dax_writeback_range");
    expect(range).toMatchObject({ ph: "X", ts: 3, dur: 1 });
    expect(perfetto([[of("dax_pmd_fault"), 5]])).toMatchObject([
      { ph: "i", args: { unfinished: 1 } },
    ]);
    expect(perfetto([[of("dax_pmd_fault_done"), 5]])).toMatchObject([{ ph: "i" }]);
  });

  test("without events is a trace all the same", () => {
    expect(perfetto([])).toEqual([]);
  });
});

describe("a trace in a file", () => {
  test("is written until it is closed, and costs nobody anything then", () => {
    const path = scratch(places["disk"], "trace.jsonl");
    const file = traceDaxToFile(path);
    for (const [event] of story) daxTrace.sink?.(event);
    expect(file.events).toBe(story.length);
    file.close();
    file.close();
    expect(daxTrace.sink).toBe(undefined);
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    const times = lines.map((line) => (JSON.parse(line) as { ns: number }).ns);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(times.length).toBe(story.length);
  });

  test("is for Perfetto by its name, and gives way to who listened before", () => {
    const heard: DaxTraceEvent[] = [];
    const path = scratch(places["disk"], "trace.json");
    daxTrace.sink = (event) => heard.push(event);
    const file = traceDaxToFile(path);
    daxTrace.sink?.(of("dax_load_hole"));
    file.close();
    daxTrace.sink?.(of("dax_load_hole"));
    daxTrace.sink = undefined;
    expect(heard.length).toBe(1);
    const { traceEvents } = JSON.parse(readFileSync(path, "utf8")) as { traceEvents: Slice[] };
    expect(traceEvents).toMatchObject([{ name: "dax_load_hole", ph: "i" }]);
  });

  test("that cannot be written fails where it is closed, and nowhere else", () => {
    const file = traceDaxToFile("/dev/full", "lines");
    for (let i = 0; i < 2000; i++) daxTrace.sink?.(of("dax_insert_mapping", i));
    expect(() => file.close()).toThrow(/ENOSPC/u);
    expect(daxTrace.sink).toBe(undefined);
    expect(() => traceDaxToFile("/nowhere/trace.json")).toThrow(/ENOENT/u);
  });
});
