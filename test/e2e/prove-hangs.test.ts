/** Programs on files that never end: each part is ended, and named. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "daxkit-prove-"));
afterAll(() => rmSync(folder, { recursive: true }));

const LOOP = "for (;;);";
const LATER = "await 1; for (;;);";

/** Parts that never end, and which of them a verdict names. */
const CASES = [
  ["setup", `setup() { ${LOOP} }`],
  ["workload", `workload() { ${LOOP} }`],
  ["workload", `async workload() { ${LATER} }`],
  ["recover", `recover() { ${LOOP} }`],
  ["check", `check() { ${LOOP} }`],
  ["check", `async check() { ${LATER} }`],
  ["check", "check() { return new Promise(() => {}); }"],
  // Content with the empty volume; only on others it loops.
  ["check", `async check({ fs }) { await 1; if (fs.existsSync("/f")) ${LOOP} }`],
] as const;

test("every part of a proof is ended when its time is over, and named: status 2", () => {
  const proofs = CASES.map(
    ([, part], i) => `{ name: "case ${i}", make: { inodes: 64 },
      workload({ fs, ack }) { fs.writeFileSync("/f", "text", { flush: true }); ack(1); },
      check: ({ fs, acked }) => acked.length === 0 || fs.existsSync("/f"), ${part} }`,
  );
  writeFileSync(join(folder, "hangs.mjs"), `export default [${proofs.join(", ")}];\n`);
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "dist/cli/main.js"), "prove", "--patience", "1", "hangs.mjs"],
    { cwd: folder, encoding: "utf8", timeout: 120_000 },
  );
  const found = stdout.split("HARNESS BROKEN").slice(1);
  expect([status, stderr, found.length]).toEqual([2, "", CASES.length]);
  for (const [i, [part]] of CASES.entries()) {
    expect(found[i]).toContain(`case ${i}\n  ${part}: it did not end within 1 s`);
  }
});

const CHECKS = [
  ["a program", "await 1; for (;;);"],
  ["a top level", "await 1;\nif (true) for (;;);\nexport default () => true;"],
] as const;

test.each(CHECKS)("a check in a file of its own that loops behind an await: %s", (_, text) => {
  writeFileSync(
    join(folder, "save.mjs"),
    'import fs from "node:fs"; fs.writeFileSync("/data/f", "text", { flush: true });',
  );
  writeFileSync(join(folder, "loops.mjs"), text);
  const words = ["prove", "--patience", "8", "--mount", "/data", "--check", "loops.mjs"];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "dist/cli/main.js"), ...words, "save.mjs"],
    { cwd: folder, encoding: "utf8", timeout: 120_000 },
  );
  expect([status, stderr]).toEqual([2, ""]);
  expect(stdout).toMatch(/^HARNESS BROKEN .*\n {2}check: .*did not end within 8 s/u);
});

test("in a worker thread, where it cannot be ended, it is said", () => {
  const module = pathToFileURL(join(root, "dist/node/prove.js")).href;
  const body = `
    const { prove } = await import(${JSON.stringify(module)});
    await prove({ patience: 1, make: { inodes: 64 }, check: () => true,
      async workload() { await 1; for (;;); } });`;
  const program = `
    import { Worker } from "node:worker_threads";
    const text = encodeURIComponent(${JSON.stringify(body)});
    const worker = new Worker(new URL("data:text/javascript," + text));
    setTimeout(() => worker.terminate().then(() => console.log("ended by its parent")), 15_000);`;
  writeFileSync(join(folder, "threads.mjs"), program);
  const { stdout, stderr } = spawnSync(process.execPath, ["threads.mjs"], {
    cwd: folder,
    encoding: "utf8",
    timeout: 120_000,
  });
  expect(stderr).toContain("daxkit: workload did not end within 1 s: it loops behind an await");
  expect(stdout).toBe("ended by its parent\n");
});
