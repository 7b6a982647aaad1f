/** `daxkit prove` as people run it: another process, files lying anywhere. */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "daxkit-prove-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** In a folder that belongs to no project and has no daxkit. */
function prove(...words: string[]): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "dist/cli/main.js"), "prove", ...words],
    { cwd: folder, encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } },
  );
  return { status, out: stdout, err: stderr };
}

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return name;
}

for (const name of ["append-only-log", "log-right", "log-missing-flush", "log-one-epoch"]) {
  copyFileSync(join(root, "examples", `${name}.ts`), join(folder, `${name}.ts`));
}

test("a right program survives: status 0", () => {
  const { status, out, err } = prove("log-right.ts");
  expect([status, err]).toEqual([0, ""]);
  expect(out).toContain("SURVIVED  append-only log\n");
});

test("a wrong one is lost, with the place of the missing flush: status 1", () => {
  const { status, out } = prove("log-missing-flush.ts");
  expect(status).toBe(1);
  expect(out).toContain("mapping.flush(64, 19) after event 0 (copy, log-missing-flush.ts:11)");
  expect(prove("log-missing-flush.ts", "--domain", "eadr").status).toBe(0);
});

test("several files: a line of JSON each, and the worst decides", () => {
  const { status, out } = prove("--json", "log-right.ts", "log-one-epoch.ts");
  expect(status).toBe(1);
  const verdicts = out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { kind: string; file: string; space: string });
  expect(verdicts.map(({ kind, file: from, space }) => [kind, from, space])).toEqual([
    ["Survived", "log-right.ts", "19"],
    ["Lost", "log-one-epoch.ts", "25"],
  ]);
});

test("JavaScript, CommonJS and TypeScript that speaks of .js files load alike", () => {
  const proof =
    '{ name: "p", size: 64, workload({ mapping, ack }) { mapping.setU64(0, 1n);' +
    " mapping.persist(0, 8); ack(1); }, check: ({ mapping, acked }) =>" +
    " mapping.u64(0) >= BigInt(acked.length) }";
  const plain = file("plain.mjs", `export default ${proof};`);
  const common = file("common.cjs", `module.exports = ${proof};`);
  file("shared.ts", `export const proof = ${proof} as const;`);
  const typed = file(
    "typed.ts",
    'import { proof } from "./shared.js";\n' +
      'import { defineProof, type Proof } from "daxkit/prove";\n' +
      "export const all: Proof[] = [defineProof(proof) as Proof];\n",
  );
  const { status, out } = prove(plain, common, typed);
  expect(status).toBe(0);
  expect(out.match(/^SURVIVED {2}p$/gmu)?.length).toBe(3);
});

test("a CommonJS program requires daxkit/prove wherever it lies", () => {
  const name = file(
    "requires.cjs",
    'const { defineProof } = require("daxkit/prove");\n' +
      'exports.proof = defineProof({ name: "required", size: 64,\n' +
      "  workload({ mapping, ack }) { mapping.setU64(0, 1); mapping.persist(0, 8); ack(1); },\n" +
      "  check: ({ mapping, acked }) => mapping.u64(0) >= BigInt(acked.length) });\n",
  );
  const { status, out, err } = prove(name);
  expect([status, err]).toEqual([0, ""]);
  expect(out).toContain("SURVIVED  required\n");
});

test("--json keeps standard output for JSON", () => {
  const name = file("talks.mjs", `console.log("loading");\n${SOUND}`);
  const { status, out, err } = prove("--json", name);
  expect([status, err]).toEqual([0, "loading\n"]);
  expect(JSON.parse(out)).toMatchObject({ kind: "Survived", name: "sound" });
  expect(prove(name).out).toMatch(/^loading\nSURVIVED {2}sound\n/u);
});

test("a program that throws is shown with its own frames, and none of what runs it", () => {
  const name = file("beyond.mjs", SOUND.replace("mapping.setU64(0, 1)", "mapping.setU64(64, 1)"));
  const { status, out } = prove(name);
  expect(status).toBe(2);
  expect(out).toMatch(
    /workload: it threw: ERANGE: .*\n +at Object\.workload \(.*beyond\.mjs:2:\d+\)\n$/u,
  );
  expect(prove(file("half.ts", "export default {")).out).toMatch(/: SyntaxError: .*\n$/u);
  const lost = prove("--json", "log-missing-flush.ts");
  const { counterExample } = JSON.parse(lost.out) as { counterExample: { cuts: unknown } };
  expect(JSON.stringify(counterExample.cuts)).toContain('"function":"append"');
  expect(JSON.stringify(counterExample.cuts)).not.toMatch(/watched-run|proofs\./u);
});

test.each(["0", "86401"])("a patience of %s seconds is refused", (seconds) => {
  const { status, err } = prove("log-right.ts", "--patience", seconds);
  expect(status).toBe(2);
  expect(err).toContain(`usage: option '--patience' is '${seconds}'; it takes 1 to 86400 seconds`);
});

test("what is not everything is status 3, and says its share", () => {
  const name = file(
    "wide.ts",
    'import { defineProof } from "daxkit/prove";\n' +
      'export default defineProof({ name: "wide", size: 4096,\n' +
      "  workload({ mapping }) { for (let i = 0; i < 40; i++) mapping.setU64(i * 64, i + 1); },\n" +
      "  check({ mapping }) { for (let i = 0; i < 40; i++) mapping.u64(i * 64); },\n});\n",
  );
  const { status, out } = prove(name, "--budget", "1000");
  expect(status).toBe(3);
  expect(out).toContain("1,000 of 1,099,511,627,776 states were checked (less than 0.01 %)");
});

test("what is no proof is status 2, and says why", () => {
  const { status, out } = prove(
    file("nothing.ts", "export const answer: number = 42;\n"),
    file("wrong.ts", "const a = 1;\nenum Not { Erasable }\nexport default a;\n"),
    file("throws.mjs", 'throw new TypeError("not today");\n'),
    file("shapeless.mjs", "export default { workload: 1, check: 2 };\n"),
    file("verify.mjs", "export default { name: 'x', workload() {}, verify() {} };\n"),
  );
  expect(status).toBe(2);
  for (const why of [
    "exports no proof",
    "no check, only name,",
    "enum is not supported",
    "not today",
    "workload: give a function",
  ]) {
    expect(out).toContain(why);
  }
  const absent = prove("absent.ts");
  expect([absent.status, absent.err]).toEqual([2, expect.stringContaining("ENOENT")]);
  expect(prove(".").err).toContain("EISDIR");
  expect(prove("log-right.ts", "--torn", "sideways").status).toBe(2);
});

test.each(["workload", "recover", "check"])("%s that never ends is broken: status 2", (part) => {
  const parts = {
    workload: "mapping.setU64(0, 1); mapping.persist(0, 8); ack(1);",
    recover: "mapping.u64(0);",
    check: "mapping.u64(0);",
    [part]: "mapping.setU64(64, 1); for (;;);",
  };
  const name = file(
    `endless-${part}.js`,
    `export default { name: "endless", size: 128,
       workload({ mapping, ack }) { ${parts["workload"]} },
       recover({ mapping }) { ${parts["recover"]} },
       check({ mapping }) { ${parts["check"]} } };`,
  );
  const { status, out } = prove(name, "--patience", "1");
  expect(out).toContain(`${part}: it did not end within 1 s`);
  expect(status).toBe(2);
});

const SOUND = `export default { name: "sound", size: 64,
  workload({ mapping, ack }) { mapping.setU64(0, 1); mapping.persist(0, 8); ack(1); },
  check: ({ mapping, acked }) => mapping.u64(0) >= BigInt(acked.length) };`;

test.each([
  ["loops", "for (;;);"],
  ["catches what would end it", "for (;;) try { for (;;); } catch {} finally { continue; }"],
  ["loops later", "await new Promise((done) => setTimeout(done, 10)); for (;;);"],
  ["waits for ever", "await new Promise(() => setInterval(() => {}, 1000));"],
])("a module that %s at its top level is broken, and the next has its turn", (what, line) => {
  const name = file(`top-${what.replaceAll(" ", "-")}.mjs`, `${line}\n${SOUND}`);
  const { status, out } = prove(name, file("sound.mjs", SOUND), "--patience", "4");
  expect(out).toContain(`HARNESS BROKEN  ${name}\n  the proof: it cannot be loaded within 4 s`);
  expect(out).toContain("SURVIVED  sound");
  expect(status).toBe(2);
});

test("a program that ends the process leaves no verdict, and no status 0", () => {
  const top = prove(file("exits.mjs", `process.exit(0);\n${SOUND}`));
  expect([top.status, top.out]).toEqual([2, ""]);
  expect(top.err).toContain("exits.mjs: the program ended the process");
  const inside = SOUND.replace("ack(1)", "process.exit(0)");
  expect(prove(file("exits-later.mjs", inside)).status).toBe(2);
});

test("timers that a module leaves running do not keep the command", () => {
  const { status, out } = prove(file("timer.mjs", `setInterval(() => {}, 1e6);\n${SOUND}`));
  expect([status, out]).toEqual([0, expect.stringContaining("SURVIVED  sound")]);
});
