/** Programs that nobody changed: each way to `node:fs`, on the machine and on a volume. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import type { CallEntry, Entry } from "../../src/node/program/record.ts";
import { runProgram } from "../../src/node/program/run-program.ts";

const root = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "daxkit-programs-"));
afterAll(() => rmSync(folder, { recursive: true }));
const MOUNT = "/daxkit-nowhere/data";

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

interface Ran {
  readonly printed: string;
  readonly entries: readonly Entry[];
  readonly failure: string | undefined;
}

async function onVolume(script: string, more: readonly string[] = []): Promise<Ran> {
  let printed = "";
  const options = { mount: MOUNT, ackPrefix: "ack ", patience: 60 };
  const hear = { printed: (text: string) => void (printed += text) };
  const ran = await runProgram({ script, args: [MOUNT, ...more] }, { ...options, ...hear });
  return { ...ran, printed };
}

let count = 0;

/** Runs it on an empty directory of the machine's as well, and compares what it prints. */
async function onBoth(script: string): Promise<Ran> {
  const real = join(folder, `real-${count++}`);
  mkdirSync(real);
  const { stdout, stderr } = spawnSync(process.execPath, [script, real], { encoding: "utf8" });
  const ran = await onVolume(script);
  expect([ran.failure, ran.printed]).toEqual([undefined, ran.printed]);
  expect(ran.printed.replaceAll(MOUNT, "DIR")).toBe((stdout + stderr).replaceAll(real, "DIR"));
  expect(existsSync(MOUNT)).toBe(false);
  return ran;
}

function callsOf({ entries }: Ran): readonly CallEntry[] {
  return entries.filter((entry) => entry.kind === "call");
}

function program(name: string): string {
  return join(root, "test/support/programs", name);
}

/** The line of a program on which some text stands. */
function lineOf(name: string, text: string): number {
  const lines = readFileSync(program(name), "utf8").split("\n");
  return lines.findIndex((line) => line.includes(text)) + 1;
}

describe("each flavour does what it does on the machine", () => {
  test("synchronous, by named imports", async () => {
    const ran = await onBoth(program("sync.mjs"));
    expect(callsOf(ran).find(({ name }) => name === "fsync")?.site).toMatchObject({
      file: program("sync.mjs"),
      line: lineOf("sync.mjs", "fsyncSync(fd)"),
    });
  });

  test("callbacks, required by CommonJS, and promisified", async () => {
    const ran = await onBoth(program("callback.cjs"));
    expect(callsOf(ran).map(({ name }) => name)).toContain("rename");
  });

  test("promises and handles, by import fs from 'node:fs'", async () => {
    const ran = await onBoth(program("promises.mjs"));
    const names = callsOf(ran).map(({ name }) => name);
    expect(names.slice(0, 6)).toEqual(["mkdir", "open", "write", "write", "write", "close"]);
  });

  test("streams, copies to and from the machine, and links that cannot be", async () => {
    await onBoth(program("streams.mjs"));
    const script = program("across.mjs");
    const { printed, failure } = await onVolume(script);
    expect(failure).toBeUndefined();
    expect(printed).toContain(
      `["EXDEV","rename","EXDEV: cross-device link not permitted, rename '${MOUNT}/f' -> ` +
        `'/tmp/daxkit-never'",-18]`,
    );
    expect(printed.match(/EXDEV/gu)).toHaveLength(6);
    expect(printed).toContain(`["EBUSY","rmdir"`);
  });

  test("packages that patch fs, or keep its functions", async () => {
    const ran = await onBoth(program("packages.cjs"));
    // A wrapper is nobody's program: the place is that of its caller.
    const written = callsOf(ran).find(({ args }) => args[0] === `${MOUNT}/g`);
    expect(written?.site?.file).toBe(program("packages.cjs"));
  });
});

describe("what is promised, and what goes around the volume", () => {
  test("acks of lines and of a function; what is not awaited comes later", async () => {
    const { entries } = await onVolume(program("acks.mjs"));
    const told = entries.map((entry) =>
      entry.kind === "ack" ? entry.label : entry.kind === "call" ? entry.args[0] : entry.kind,
    );
    expect(told).toEqual([`${MOUNT}/1`, "one", { two: 2 }, `${MOUNT}/2`, "three", ""]);
  });

  test("writes elsewhere, other processes, threads, addons and built-ins are told", async () => {
    const addon = file("addon.node", "no shared object");
    const outside = join(folder, "outside.txt");
    const worker = pathToFileURL(program("worker.cjs")).href;
    const { entries, failure } = await onVolume(program("around.mjs"), [outside, addon]);
    expect(failure).toBeUndefined();
    const told = entries.flatMap((entry) =>
      entry.kind === "bypass" ? [[entry.bypass, entry.what, entry.site?.line]] : [],
    );
    expect(told).toEqual([
      ["outside", outside, lineOf("around.mjs", "writeFileSync(process.argv[3]")],
      ["process", "true", lineOf("around.mjs", 'execFileSync("true')],
      ["process", "true a", lineOf("around.mjs", 'spawn("true')],
      ["addon", addon, lineOf("around.mjs", "(process.argv[4])")],
      ["thread", worker, lineOf("around.mjs", "new Worker(")],
      ["builtin", "node:wasi", undefined],
    ]);
  });

  const { require_module: requires = false } = process.features as { require_module?: boolean };
  test.skipIf(!requires)(
    "threads that are texts, or keep out what we load, are refused (20.19)",
    async () => {
      const { printed, entries, failure } = await onVolume(program("text-workers.mjs"));
      expect([failure, printed]).toEqual([undefined, "ENOTSUP\n".repeat(4)]);
      const told = entries.flatMap((entry) => (entry.kind === "bypass" ? [entry.what] : []));
      const text = expect.stringMatching(/^text "\\"use strict\\";.*\.\.\."$/u) as string;
      const address = expect.stringMatching(/^data:text/u) as string;
      expect(told).toEqual([text, address]);
    },
  );

  test("a program that fails, or does not end, says so", async () => {
    const thrown = await onVolume(file("throws.mjs", `throw new TypeError("of its own");`));
    expect(thrown.failure).toMatch(/throws\.mjs ended with status 1: TypeError: of its own/u);
    const options = { mount: MOUNT, ackPrefix: "ack ", patience: 1 };
    const script = file("hangs.mjs", "setInterval(() => {}, 1000);");
    const { failure } = await runProgram({ script, args: [] }, options);
    expect(failure).toBe("it did not end within 1 s; give --patience if it needs longer");
  });
});

const FFI = existsSync(join(root, "node_modules/koffi"));

test.skipIf(!FFI)("a real addon is told, in modules of both kinds and in a check (koffi)", () => {
  const load = `require(${JSON.stringify(join(root, "node_modules/koffi"))});`;
  const own = 'import { createRequire } from "node:module"; const require = createRequire("/");';
  const save = 'fs.writeFileSync("/data/f", "x", { flush: true }); console.log("ack 1");';
  const check =
    "module.exports = ({ fs, acked }) => acked.length === 0 || fs.existsSync('/data/f');";
  file("addon-esm.mjs", `import fs from "node:fs"; ${own} ${load} ${save}`);
  file("addon-cjs.cjs", `const fs = require("node:fs"); ${load} ${save}`);
  file("saves.mjs", `import fs from "node:fs"; ${save}`);
  file("plain-check.cjs", check);
  file("addon-check.cjs", `${load} ${check}`);
  const cases = [
    ["plain-check.cjs", "addon-esm.mjs", /native addon .*koffi.*\.node was loaded.*--mount-fuse/u],
    ["plain-check.cjs", "addon-cjs.cjs", /native addon .*koffi.*\.node was loaded.*nbd --record/u],
    ["addon-check.cjs", "saves.mjs", /the check or the recovery loaded a native addon \(koffi/u],
  ] as const;
  for (const [checked, script, note] of cases) {
    const words = ["--commits", "asked", "--model", "ext4-dax", "--mount", "/data"];
    const command = [join(root, "dist/cli/main.js"), "prove", ...words, "--check", checked, script];
    const { status, stdout } = spawnSync(process.execPath, command, {
      cwd: folder,
      encoding: "utf8",
    });
    expect([status, stdout]).toEqual([0, expect.any(String)]);
    expect(stdout.replaceAll(/\n\s*/gu, " ")).toMatch(note);
  }
});
