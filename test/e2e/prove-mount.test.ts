/** `daxkit prove --mount` as people run it. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { programs } from "../judges/judge.ts";

const root = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "daxkit-mount-"));
afterAll(() => rmSync(folder, { recursive: true }));
const e2fsprogs = programs(["e2fsck", "debugfs"], "apt-get install e2fsprogs");

function prove(...words: string[]): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "dist/cli/main.js"), "prove", ...words],
    {
      cwd: folder,
      encoding: "utf8",
      env: { ...process.env, NO_COLOR: "1", XDG_CACHE_HOME: join(folder, "cache") },
    },
  );
  return { status, out: stdout, err: stderr };
}

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return name;
}

/** A value that is replaced as many do it; `sync` is what comes after the rename. */
function saver(sync: string): string {
  return `import fs from "node:fs";
const temporary = \`/data/settings.\${process.pid}.\${Date.now()}\`;
fs.writeFileSync(temporary, process.argv[2], { flush: true });
fs.renameSync(temporary, "/data/settings");
${sync}
console.log("ack " + process.argv[2]);
`;
}

const save = file("save.mjs", saver(""));
const saveRight = file(
  "save-right.mjs",
  saver(`const fd = fs.openSync("/data"); fs.fsyncSync(fd); fs.closeSync(fd);`),
);
const setup = file("setup.cjs", `require("fs").writeFileSync("/data/settings", "old");`);
const check = file(
  "check.mjs",
  `export default ({ fs, acked, mount }) => {
  const found = fs.readFileSync(mount + "/settings", "utf8");
  if (acked.length > 0) return found === acked.at(-1) || "settings are " + found;
  return found === "old" || found === "young" || "settings are torn";
};
`,
);
const terms = ["--mount", "/data", "--setup", setup, "--check", check];

describe("a program, its check, and the place of what is missing", () => {
  test("lost: the fsync of the directory, at a line of the program; the state again", () => {
    const { status, out } = prove(...terms, save, "young", "--save-image", "lost.img");
    expect([status, status === 1 ? "" : out]).toEqual([1, ""]);
    expect(out).toContain("settings are old");
    expect(out).toMatch(/fsync of the directory \/data after rename .* \(save\.mjs:4:4\)/u);
    expect(out).toContain("with that every state survives (verified)");
    const [, state = ""] = /--state (\S+)/u.exec(out) ?? [];
    expect(out).toMatch(/daxkit prove --mount \/data .* --state \S+ save\.mjs young/u);
    const again = prove(...terms, save, "young", "--state", state, "--save-image", "again.img");
    expect(again.out + again.err).toContain("settings are old");
    const images = ["lost.img", "again.img"].map((name) => readFileSync(join(folder, name)));
    expect(images[0]?.equals(images[1] as Buffer)).toBe(true);
    // Of no run that is kept, and the program now has other names.
    const other = prove(...terms, save, "young", "--state", `00000000-${state.slice(9)}`);
    expect(other.status).toBe(2);
    expect(other.err).toContain("prove it again, and take a state of that");
  });

  test.skipIf(e2fsprogs.missing)("e2fsck sees the same loss in the image", () => {
    const { status } = prove(...terms, save, "young", "--save-image", "judged.img");
    expect(status).toBe(1);
    const image = join(folder, "judged.img");
    const { status: repaired } = spawnSync("e2fsck", ["-p", image]);
    expect(repaired).toBeLessThan(2);
    const { stdout } = spawnSync("debugfs", ["-R", "cat /settings", image], { encoding: "utf8" });
    expect(stdout).toBe("old");
  });

  test("survived, on a disk too; as JSON, with nothing else on the output", () => {
    const right = prove(...terms, "--model", "ext4-ordered", "--json", saveRight, "young");
    expect([right.status, right.status === 0 ? "" : right.out]).toEqual([0, ""]);
    expect(JSON.parse(right.out)).toMatchObject({ kind: "Survived", model: "ext4-ordered" });
    expect(right.err).toContain("ack young");
  });

  test("a check that is a program, asynchronous, on modules that are fresh", () => {
    const helper = file("seen.cjs", "module.exports = { states: 0 };");
    const program = file(
      "check-program.mjs",
      `import { readFile } from "node:fs/promises"; import seen from "./${helper}";
if (++seen.states > 1) throw new Error("kept from another state");
setTimeout(async () => {
  const found = await readFile("/data/settings", "utf8");
  if (daxkit.acked.length > 0 && found !== "young") process.exit(7);
}, 1);
`,
    );
    const words = [
      "--mount",
      "/data",
      "--setup",
      setup,
      "--model",
      "ext4-ordered",
      "--check",
      program,
    ];
    const { status, out } = prove(...words, save, "young");
    expect([status, status === 1 ? "" : out]).toEqual([1, ""]);
    expect(out).toMatch(/ended with status 7/u);
    expect(out).not.toContain("kept from another state");
    const right = prove(...words, saveRight, "young");
    expect([right.status, right.status === 0 ? "" : right.out]).toEqual([0, ""]);
  });

  test("without a check: the state of some call, no earlier than the last promise", () => {
    const { status, out } = prove("--mount", "/data", save, "young");
    expect(status).toBe(1);
    expect(out).toContain("the volume is as after no step of the program");
    expect(prove("--mount", "/data", saveRight, "young").status).toBe(0);
  });

  test("a check may write, and what recover writes may be cut", () => {
    const opened = file(
      "opens.mjs",
      `export const check = async ({ fs, acked }) => {
  await fs.promises.writeFile("/data/lock", "x"); fs.renameSync("/data/lock", "/data/locked");
  if (acked.length > 0) fs.accessSync("/data/settings");
};
`,
    );
    const recover = file(
      "recover.mjs",
      `export default ({ fs }) => fs.writeFileSync("/data/recovered", "yes", { flush: true });`,
    );
    const words = ["--mount", "/data", "--recover", recover, "--check", opened];
    const { status, out } = prove(...words, "--model", "ext4-ordered", saveRight, "young");
    expect([status, status === 0 ? "" : out]).toEqual([0, ""]);
    expect(out).toContain("2 power cuts in a row");
  });
});

describe("what cannot be proved is said", () => {
  test("a native addon that goes around node:fs, with the commands that see it", () => {
    const addon = file("store.node", "no shared object");
    const program = file(
      "addon.cjs",
      `try { require("./${addon}"); } catch {} console.log("ack stored");`,
    );
    const { status, out } = prove("--mount", "/data", "--check", check, program);
    expect(status).toBe(3);
    expect(out).toContain("the workload stored nothing on the volume");
    expect(out).toMatch(/native addon .*store\.node was loaded, at .*addon\.cjs:1/u);
    expect(out).toContain(
      "`daxkit prove --mount-fuse /data --check 'node check.mjs' -- node addon.cjs`",
    );
    expect(out).toContain("daxkit nbd --record LOG");
  });

  test("files that another process makes where the mount is", () => {
    const at = join(folder, "real");
    const program = file(
      "beside.mjs",
      `import fs from "node:fs"; import { execFileSync } from "node:child_process";
fs.writeFileSync(process.argv[2] + "/mine", "x", { flush: true });
const at = process.argv[2];
execFileSync("/bin/sh", ["-c", "mkdir -p " + at + " && echo y > " + at + "/theirs"]);
console.log("ack both");
`,
    );
    const { status, out } = prove("--mount", at, program, at);
    expect([status, status === 3 ? "" : out]).toEqual([3, ""]);
    expect(out).toContain("real/theirs was changed around node:fs");
  });

  test("writes outside of the mount are notes; pids, time and chance do not matter", () => {
    const program = file(
      "outside.mjs",
      `import fs from "node:fs";
fs.writeFileSync("${join(folder, "log.txt")}", "log");
fs.writeFileSync("/data/" + process.pid + Math.random() + Date.now(), "x", { flush: true });
console.log("ack " + Math.random());
`,
    );
    const any = file(
      "any.mjs",
      `export default ({ fs, acked }) => acked.length === 0 || fs.readdirSync("/data").length > 0;`,
    );
    const { status, out } = prove(
      "--mount",
      "/data",
      "--model",
      "ext4-ordered",
      "--check",
      any,
      program,
    );
    expect([status, status === 0 ? "" : out]).toEqual([0, ""]);
    expect(out).toMatch(/note: wrote outside of the mount: .*log\.txt, at .*outside\.mjs:2/u);
  });

  test("a program that fails, a check that is none, a mount that cannot be", () => {
    const fails = file("fails.mjs", `throw new Error("no such option");`);
    expect(prove("--mount", "/data", fails)).toMatchObject({ status: 2 });
    expect(prove("--mount", "/data", fails).out).toContain("no such option");
    const none = file("none.mjs", "export default 5;");
    expect(prove("--mount", "/data", "--check", none, save, "x").out).toContain(
      "exports no function",
    );
    const content = file("content.mjs", "export default () => true;");
    const vacuous = prove("--mount", "/data", "--check", content, saveRight, "x");
    expect(vacuous.status).toBe(3);
    expect(vacuous.out).toContain("content with an empty volume");
    const small = prove("--mount", "/data", "--size", "5M", save);
    expect([small.status, small.out]).toEqual([2, ""]);
    expect(small.err).toMatch(/'--size'.*multiples of 8192 from 9M to 1G/u);
    expect(prove("--mount", "/", save).err).toContain("the volume cannot be all there is");
    expect(prove("--mount", folder, save).err).toContain("lies below the mount");
    expect(prove("--check", check, save).err).toContain(
      "'--check' is for '--mount-fuse' and '--mount'",
    );
  });
});

describe("faults beside the power", () => {
  const program = file(
    "faults.mjs",
    `import fs from "node:fs";
const heed = process.argv[2] === "heed";
function synced(fd) {
  try { fs.fsyncSync(fd); } catch (error) { if (heed) throw error; }
}
fs.writeFileSync("/data/f", "old");
const fd = fs.openSync("/data/f", "r+");
fs.writeSync(fd, "new");
synced(fd);
console.log("ack new");
`,
  );
  const judge = file(
    "faults-check.mjs",
    `export default ({ fs, acked, faults }) =>
  acked.length === 0 || fs.readFileSync("/data/f", "utf8") === "new" ||
  "it is not new, though " + faults.map(({ words }) => words);
`,
  );
  const options = ["--mount", "/data", "--check", judge, "--commits", "asked"];

  test("who does not heed an error loses, and the state is made again", () => {
    const words = [...options, "--faults", "flush", "--model", "ext4-ordered"];
    const { status, out } = prove(...words, program);
    expect([status, out]).toEqual([1, expect.stringMatching(/the 1st flush .* threw EIO/u)]);
    expect(out).toContain("heed of the error: fsync threw EIO, and the program went on to promise");
    const [, state = ""] = /--state (\S+)/u.exec(out) ?? [];
    expect(state).toMatch(/^[0-9a-f]{8}-flush1~/u);
    const again = prove(...words, "--state", state, program);
    expect([again.status, again.out]).toEqual([1, expect.stringMatching(/the 1st flush/u)]);
  });

  test("who heeds it survives each of them", () => {
    const some = "enospc@1,write@2,flush@1,poison@32";
    const { status, out, err } = prove(...options, "--json", "--faults", some, program, "heed");
    const verdict = JSON.parse(out) as {
      readonly faults?: readonly { readonly kind: string; readonly run: number }[];
    };
    expect([status, err.split("\n").filter((line) => line !== "ack new")]).toEqual([0, [""]]);
    expect(verdict.faults?.map(({ kind }) => kind)).toEqual(["enospc", "write", "flush", "poison"]);
    expect(verdict.faults?.every(({ run }) => run > 0)).toBe(true);
  });

  test("what waits in memory fails in another call: the program is run with that, too", () => {
    const any = ["--mount", "/data", "--check", judge, "--json", "--faults", "write@1"];
    const { status, out } = prove(...any, program, "heed");
    const { faults } = JSON.parse(out) as { readonly faults?: readonly unknown[] };
    expect([status, faults]).toEqual([0, [expect.objectContaining({ planned: 2, run: 2 })]]);
  });

  test("what no program meets is refused", () => {
    const { status, err } = prove(...options, "--faults", "short-read", program);
    expect([status, err]).toEqual([
      2,
      expect.stringContaining("short-read is for proofs in files"),
    ]);
  });
});

test("from a program, one at a time", () => {
  const entry = pathToFileURL(join(root, "dist/node/prove.js")).href;
  const caller = file(
    "caller.mjs",
    `import { proveProgram } from ${JSON.stringify(entry)};
const proof = { script: ${JSON.stringify(saveRight)}, args: ["young"], directory: "/data",
  setup: ${JSON.stringify(setup)}, check: ${JSON.stringify(check)}, commits: "asked" };
const [first, second] = await Promise.allSettled([proveProgram(proof), proveProgram(proof)]);
console.log(first.value.kind, second.reason.code);
`,
  );
  const { stdout } = spawnSync(process.execPath, [caller], { cwd: folder, encoding: "utf8" });
  expect(stdout).toBe("Survived EBUSY\n");
});
