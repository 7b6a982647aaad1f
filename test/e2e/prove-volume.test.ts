/** `daxkit prove` of programs on files, as people run it. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "daxkit-prove-"));
afterAll(() => rmSync(folder, { recursive: true }));

function prove(...words: string[]): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "dist/cli/main.js"), "prove", ...words],
    { cwd: folder, encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } },
  );
  return { status, out: stdout, err: stderr };
}

writeFileSync(
  join(folder, "save.ts"),
  `import { expectAtomic, type VolumeWork } from "daxkit/prove";
export default {
  name: "save",
  commits: "asked",
  workload({ fs, ack }: VolumeWork) {
    fs.writeFileSync("/f", "text");
    ack("saved");
  },
  check: expectAtomic("/f", undefined, "text"),
};
`,
);
writeFileSync(
  join(folder, "loop.mjs"),
  `export default {
  workload({ fs, ack }) { fs.writeFileSync("/f", "text"); ack(1); },
  check() { for (;;); },
};
`,
);

function timeline(report: string): string {
  return /\n +the calls up[^]*?\n\n/u.exec(report)?.[0] ?? "";
}

test("a lost file: report, image, JUnit, and the state alone: status 1, and 3", () => {
  const { status, out } = prove("save.ts", "--save-image", "image", "--junit", "junit.xml");
  expect(status).toBe(1);
  expect(out).toMatch(/missing +fsync of \/f after writeFile \/f \(save\.ts:6:8 in workload\)/u);
  expect(statSync(join(folder, "image")).size).toBe(10 << 20);
  expect(readFileSync(join(folder, "junit.xml"), "utf8")).toContain('failures="1"');
  const line = /^ {2}again +daxkit prove (.*)$/mu.exec(out)?.[1] ?? "";
  const again = prove(...line.split(" "));
  expect([again.status, again.out]).toEqual([1, expect.stringMatching(/\/f is absent still/u)]);
  expect(timeline(out)).toMatch(/1 {2}writeFile \/f, 4 bytes +save\.ts:6:8 .*LOST/u);
  expect(timeline(again.out)).toBe(timeline(out));
});

test("on a disk, as JSON; a check that loops is named: status 2", () => {
  const { status, out } = prove("save.ts", "--model", "ext4-ordered", "--json");
  expect(status).toBe(1);
  expect(JSON.parse(out)).toMatchObject({ kind: "Lost", model: "ext4-ordered" });
  const loop = prove("loop.mjs", "--patience", "2");
  expect(loop.out).toMatch(/HARNESS BROKEN[^]*check: it did not end within 2 s/u);
});

writeFileSync(
  join(folder, "heedless.mjs"),
  `const one = (name, heeds) => ({ name, model: "ext4-ordered", make: { inodes: 64 },
  workload({ fs, ack }) {
    const fd = fs.openSync("/f", "w");
    fs.writeSync(fd, "text");
    try { fs.fsyncSync(fd); } catch (error) { if (heeds) throw error; }
    ack(1);
  },
  check: ({ fs, acked }) => acked.length === 0 || fs.readFileSync("/f", "utf8") === "text",
});
export const good = one("heeds", true), bad = one("does not", false);
`,
);

test("faults beside the power: the command that is printed makes the same again", () => {
  const { status, out } = prove("heedless.mjs", "--faults", "flush,enospc@2");
  expect(status).toBe(1);
  expect(out).toMatch(/SURVIVED {2}heeds\n[^]*with its only flush fault: all of [^]*enospc/u);
  expect(out).toMatch(/fault +the 1st flush of the device failed with EIO, in fsync \/f \(/u);
  const line = /^ {2}again +daxkit prove (.*)$/mu.exec(out)?.[1] ?? "";
  expect(line).toMatch(/--faults flush,enospc@2 --only 'does not' --state flush1~\d/u);
  const words = line.replace("'does not'", "does_not").split(" ");
  const again = prove(...words.map((word) => word.replace("_", " ")));
  expect([again.status, timeline(again.out)]).toEqual([1, timeline(out)]);
  expect(prove("heedless.mjs", "--faults", "thunder").err).toMatch(/'--faults' is 'thunder'/u);
});

writeFileSync(join(folder, "fake.node"), "");
writeFileSync(
  join(folder, "native.mjs"),
  `import { createRequire } from "node:module";
try { createRequire(import.meta.url)("./fake.node"); } catch {}
export default { name: "native", make: { inodes: 64 },
  workload({ fs, ack }) { fs.writeFileSync("/f", "text", { flush: true }); ack(1); },
  check: ({ fs, acked }) => acked.length === 0 || fs.readFileSync("/f", "utf8") === "text",
};
export const around = { name: "around", workload({ ack }) { ack(1); }, check: () => false };
`,
);

test("a native addon is told of, with the way to prove what it does", () => {
  const { status, out } = prove("native.mjs");
  expect(status).toBe(3);
  expect(out).toMatch(/SURVIVED {2}native\n[^]*note: a native addon was loaded \(fake\.node\)/u);
  expect(out).toMatch(/NOT MEASURED {2}around\n[^]*stored nothing[^]*daxkit nbd --record/u);
});

writeFileSync(
  join(folder, "blocks.mjs"),
  `export default {
  model: "ext4-ordered", commits: "asked", depth: 1,
  workload({ fs, ack }) {
    fs.writeFileSync("/f", Buffer.alloc(1024, 1), { flush: true });
    const file = fs.openSync("/f", "r+");
    fs.writeSync(file, Buffer.alloc(1024, 2), 0, 1024, 0);
    fs.fsyncSync(file);
    ack(1);
  },
  check({ fs, acked }) {
    const bytes = fs.existsSync("/f") ? fs.readFileSync("/f") : [];
    const whole = (value) => bytes.length === 1024 && bytes.every((byte) => byte === value);
    return whole(2) || (acked.length === 0 && (bytes.length < 1024 || whole(0) || whole(1)));
  },
};
`,
);

test.for([
  ["", 0, "and what was written with FUA is there. Nothing is committed but what"],
  ["--sector 512", 1, "its sectors are of 512 bytes instead"],
  ["--torn-sector 512", 1, "a sector may be torn after each 512 bytes of it"],
] as const)("sectors as the command line says: %s", ([options, status, words]) => {
  const found = prove("blocks.mjs", ...options.split(" ").filter(Boolean));
  expect([found.status, found.out]).toEqual([status, expect.stringContaining(words)]);
  expect(found.out).not.toContain("bulk copies");
  const again = /^ {2}again +daxkit prove (.*)$/mu.exec(found.out)?.[1];
  expect(again === undefined ? status : prove(...again.split(" ")).status).toBe(status);
});

test("memory has no sectors", () => {
  const { status, err } = prove("--sector", "512", join(root, "examples/log-right.ts"));
  expect([status, err]).toEqual([2, expect.stringContaining("are for programs on files")]);
});
