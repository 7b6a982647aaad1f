/**
 * Dax trace events in files: as lines of JSON, and as Perfetto opens them.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type DaxTraceEvent, daxTrace, traceDaxTo } from "../../src/dax/trace-events.ts";
import { daxTraceText } from "../../src/dax/trace-text.ts";
import { traceDaxToFile } from "../../src/node/dax-trace-file.ts";
import { daxTree } from "../support/dax-mounted.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { faulting } from "../support/faulting-file.ts";
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

/** Everything that is told while `work` is done. */
function heard(work: () => void): DaxTraceEvent[] {
  const events: DaxTraceEvent[] = [];
  const stop = traceDaxTo((event) => events.push(event));
  try {
    work();
  } finally {
    stop();
  }
  return events;
}

const results = (events: readonly DaxTraceEvent[]): unknown[] =>
  events.flatMap(({ point, fields }) =>
    point.endsWith("fault_done") ? [[point, fields["result"]]] : [],
  );

describe("[0.3] a fault as it is told", () => {
  test("has its page, its address in bytes and what came of it", () => {
    const { map } = faulting(1024);
    const area = map();
    const [first, inserted, done] = heard(() => area.store(3 * 4096, Uint8Array.of(1)));
    expect([first?.point, inserted?.point, done?.point]).toEqual([
      "dax_pte_fault",
      "dax_insert_mapping",
      "dax_pte_fault_done",
    ]);
    const { vm_start: start, ...fields } = done?.fields ?? {};
    expect(fields).toMatchObject({ pgoff: 3, write: 1, vm_flags: "shared", result: "NOPAGE" });
    expect(fields).toMatchObject({ max_pgoff: 1024, address: Number(start) + 3 * 4096 });
    expect(fields["vm_end"]).toBe(Number(start) + 1024 * 4096);
  });

  test("ends, whatever comes of it", () => {
    const { map, file } = faulting(1024);
    const area = map({ huge: true });
    // The device's memory begins off 2 MiB: a huge fault falls back to a single one.
    expect(results(heard(() => area.store(0, Uint8Array.of(1))))).toEqual([
      ["dax_pmd_fault_done", "FALLBACK"],
      ["dax_pte_fault_done", "NOPAGE"],
    ]);
    file.fake.poison.add(file.pages.get(0)!);
    const events = heard(() => {
      expect(() => map().load(0, new Uint8Array(1))).toThrow("EHWPOISON");
    });
    expect(results(events)).toEqual([["dax_pte_fault_done", "SIGBUS"]]);
  });

  test("costs nothing while nobody listens: nothing of it is even looked at", () => {
    const { map, space } = faulting(64);
    const area = map();
    let looks = 0;
    const { owner } = space;
    Object.defineProperty(space, "owner", { get: () => (looks++, owner) });
    const use = (): void => {
      for (let page = 0; page < 64; page++) area.store(page * 4096, Uint8Array.of(1));
      space.writeBack();
    };
    use();
    expect(looks).toBe(0);
    const told = heard(use).length;
    expect(looks).toBe(told);
    expect(told).toBeGreaterThan(64);
  });
});

describe("a trace in a file", () => {
  test("[0.3] has what a mapping goes through: a fault, write-back, a fault again", () => {
    const path = scratch(places["disk"], "real.jsonl");
    const { tree } = daxTree(emptyImage({ type: "ext4", blockSize: 4096, inodes: 64 }, 4));
    const opened = tree.open("/a", { create: true, access: "readwrite" });
    opened.pwrite(new Uint8Array(4 * 4096), 0);
    const mapping = opened.map({ access: "write", lazy: true });
    const file = traceDaxToFile(path);
    mapping.setUint8(5000, 1);
    mapping.setUint8(5001, 1);
    mapping.flush();
    mapping.setUint8(5002, 1);
    file.close();
    mapping.setUint8(9000, 1);
    const points = readFileSync(path, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { point: string; pgoff?: number; ino: number });
    expect(points.map(({ point }) => point)).toEqual([
      "dax_pte_fault",
      "dax_insert_mapping",
      "dax_pte_fault_done",
      "dax_writeback_range",
      "dax_writeback_one",
      "dax_writeback_range_done",
      "dax_pte_fault",
      "dax_insert_mapping",
      "dax_pte_fault_done",
    ]);
    expect(new Set(points.flatMap(({ pgoff }) => pgoff ?? []))).toEqual(new Set([1]));
  });

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
    const before: DaxTraceEvent[] = [];
    const path = scratch(places["disk"], "trace.json");
    daxTrace.sink = (event) => before.push(event);
    const file = traceDaxToFile(path);
    daxTrace.sink?.(of("dax_load_hole"));
    file.close();
    daxTrace.sink?.(of("dax_load_hole"));
    daxTrace.sink = undefined;
    expect(before.length).toBe(1);
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

test("what is no trace is not written over", () => {
  const image = scratch();
  writeFileSync(image, "an image of something");
  expect(() => traceDaxToFile(image)).toThrow(/^EEXIST.*it holds something that is no trace/u);
  expect(readFileSync(image, "latin1")).toBe("an image of something");
  for (const name of ["trace.json", "trace.jsonl"]) {
    const path = scratch(undefined, name);
    for (const dev of ["a longer name of a device", "b"]) {
      const file = traceDaxToFile(path);
      daxTrace.sink?.({ point: "dax_writeback_one", fields: { dev, ino: 1, pgoff: 2, pglen: 3 } });
      file.close();
      expect(readFileSync(path, "latin1")).toContain(`"dev":"${dev}"`);
    }
    expect(readFileSync(path, "latin1")).not.toContain("longer");
  }
});
