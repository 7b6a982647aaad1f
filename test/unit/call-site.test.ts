import { expect, test } from "vitest";
import { CallSites, callSiteIn, framesOf, programLines } from "../../src/lib/call-site.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";
import { mapMedia } from "../../src/media/mapping.ts";

test("frames are read as V8, SpiderMonkey and JavaScriptCore write them", () => {
  const v8 = `Error: x
    at append (file:///home/a/log.ts:12:7)
    at Object.workload (/home/a b/log.ts:20:3)
    at new Log (C:/log.js:1:2)
    at file:///home/a/main.mjs:3:1
    at native
    at eval (eval at run (/a.js:1:1), <anonymous>:1:1)`;
  expect(framesOf(v8)).toEqual([
    { file: "/home/a/log.ts", line: 12, column: 7, function: "append" },
    { file: "/home/a b/log.ts", line: 20, column: 3, function: "workload" },
    { file: "C:/log.js", line: 1, column: 2, function: "new Log" },
    { file: "/home/a/main.mjs", line: 3, column: 1 },
  ]);
  expect(framesOf("append@http://host/log.js:12:7\n@http://host/log.js:20:3\n")).toEqual([
    { file: "http://host/log.js", line: 12, column: 7, function: "append" },
    { file: "http://host/log.js", line: 20, column: 3 },
  ]);
});

test("the call site is the innermost frame that is nobody's plumbing", () => {
  const media = new ModelledMedia(256);
  const mapping = mapMedia(media);
  const sites = new CallSites();
  media.trace.captureSites(sites);
  // Through the mapping's and the recorder's own functions, however deep.
  const bulk = () => mapping.copyIn(0, new Uint8Array(100));
  const outer = () => bulk();
  outer();
  for (let i = 0; i < 3; i++) mapping.setU64(i * 8, 1n);
  mapping.setU8(0, 1);
  const site = (event: number) => sites.get(media.trace.siteOf(event));
  expect(site(0)).toMatchObject({ function: "bulk" });
  expect(site(0)?.file).toMatch(/call-site\.test\.ts$/u);
  expect(site(0)?.callers[0]).toMatchObject({ function: "outer" });
  expect(new Set([1, 2, 3].map((event) => media.trace.siteOf(event))).size).toBe(1);
  expect(site(4)?.line).toBe((site(1)?.line ?? 0) + 1);
});

test("one place reached by two ways is two sites and one place", () => {
  const media = new ModelledMedia(256);
  const sites = new CallSites();
  media.trace.captureSites(sites);
  const put = () => media.recorder.setUint8(0, 1);
  put();
  put();
  const [one, two] = [media.trace.siteOf(0), media.trace.siteOf(1)];
  expect(one).not.toBe(two);
  expect(sites.placeOf(one)).toBe(sites.placeOf(two));
  expect(sites.placeOf(0)).toBe(0);
  expect(sites.get(0)).toBe(undefined);
});

test("only the events that are wanted cost a stack", () => {
  const media = new ModelledMedia(256);
  media.trace.captureSites(new CallSites(), (event) => event === 1);
  for (let i = 0; i < 3; i++) media.recorder.setUint8(i, 1);
  expect([0, 1, 2].map((event) => media.trace.siteOf(event) > 0)).toEqual([false, true, false]);
});

test("a program's lines are neither Node's nor those of its scripts", () => {
  const ours = "    at push (file:///home/a/ring.ts:9:3)";
  const stack = [
    "TypeError: x",
    ours,
    "    at evalmachine.<anonymous>:1:1",
    "    at Script.runInThisContext (node:vm:137:12)",
  ];
  expect(programLines(stack.join("\n"))).toEqual([ours]);
});

test("a stack of plumbing alone, or none, has no call site", () => {
  expect(callSiteIn("")).toBe(undefined);
  expect(callSiteIn("Error: no frames")).toBe(undefined);
  const { stackTraceLimit } = Error;
  new CallSites().here();
  expect(Error.stackTraceLimit).toBe(stackTraceLimit);
});
