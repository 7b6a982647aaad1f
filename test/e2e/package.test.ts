/**
 * The package as npm would publish it, in a project that has nothing else: what is imported is
 * there, is typed for both ways of resolving it, and runs; the command works with what it ships.
 */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { REPOSITORY } from "../support/daxkit.ts";
import { EVERYTHING } from "../support/slices.ts";

const project = mkdtempSync(join(tmpdir(), "daxkit-package-"));
afterAll(() => rmSync(project, { recursive: true, force: true }));
const modules = join(project, "node_modules");
const installed = join(modules, "daxkit");

function run(command: string, args: readonly string[], cwd = project): SpawnSyncReturns<string> {
  const env = { ...process.env, NO_COLOR: "1" };
  const ended = spawnSync(command, args, { cwd, env, encoding: "utf8", maxBuffer: 1 << 26 });
  if (ended.error !== undefined) throw ended.error;
  return ended;
}

/** Standard output of what must end well. */
function output(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = run(command, args);
  expect(`${status} ${stderr}`, `${command} ${args.join(" ")}: ${stdout}`).toBe("0 ");
  return stdout;
}

/** What `npm install` does with a tarball; the registry is not asked for dependencies. */
function install(): void {
  const pack = ["pack", "--ignore-scripts", "--json", "--pack-destination", project];
  const packed = run("npm", pack, REPOSITORY);
  const [{ filename }] = JSON.parse(packed.stdout) as [{ filename: string }];
  mkdirSync(installed, { recursive: true });
  run("tar", ["-xzf", join(project, filename), "-C", installed, "--strip-components=1"]);
  const beside = ["@types/node", "undici-types", "vitest"];
  for (const name of [...beside, ...dependencies()]) link(name);
  const { bin } = manifest();
  mkdirSync(join(modules, ".bin"));
  symlinkSync(join("..", "daxkit", bin.daxkit), join(modules, ".bin", "daxkit"));
  chmodSync(join(installed, bin.daxkit), 0o755);
  writeFileSync(join(project, "package.json"), '{ "private": true, "type": "module" }');
}

/** Files below a folder of the package whose names end so. */
function files(folder: string, ending: string): string[] {
  const names = readdirSync(join(installed, folder), { recursive: true, encoding: "utf8" });
  return names.filter((name) => name.endsWith(ending)).map((name) => join(installed, folder, name));
}

interface Manifest {
  readonly bin: { readonly daxkit: string };
  readonly exports: Readonly<Record<string, string | { types: string; default: string }>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

function manifest(): Manifest {
  return JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as Manifest;
}

function dependencies(): string[] {
  const { dependencies: always, optionalDependencies: wanted } = manifest();
  return [...Object.keys(always), ...Object.keys(wanted)];
}

function link(name: string): void {
  const from = join(REPOSITORY, "node_modules", name);
  if (!existsSync(from)) return;
  mkdirSync(dirname(join(modules, name)), { recursive: true });
  symlinkSync(from, join(modules, name));
}

install();
const packed = readFileSync(join(installed, "fixtures/tour/tour.img.gz"));
writeFileSync(join(project, "tour.img"), gunzipSync(packed));
const daxkit = join(modules, ".bin", "daxkit");

const CORE = `
import { DaxError, RamMedia, isDaxError, mapMedia, sizeof } from "daxkit";
import { EXT4_SUPERBLOCK_OFFSET, Ext4SuperBlock } from "daxkit/format/ext-superblock";
import { type Verdict, defineProof, prove, report, toJson } from "daxkit/prove";

const mapping = mapMedia(new RamMedia(4096));
mapping.setU64(0, 42n);
mapping.persist(0, 8);
try {
  mapping.u64(4096);
} catch (error) {
  if (!isDaxError(error, "ERANGE") || !(error instanceof DaxError)) throw error;
}
const verdict: Verdict = prove(
  defineProof({
    name: "a word",
    size: 64,
    workload({ mapping, ack }) {
      mapping.setU64(0, 1);
      mapping.persist(0, 8);
      ack("one");
    },
    check: ({ mapping, acked }) => mapping.u64(0) >= BigInt(acked.length),
  }),
);
export const said: string[] = report(verdict);
export const answers = [
  String(mapping.u64(0)),
  verdict.kind,
  EXT4_SUPERBLOCK_OFFSET,
  sizeof(Ext4SuperBlock),
  typeof toJson(verdict),
] as const;
`;

const PROGRAM = `
import { readFileSync } from "node:fs";
import { mapMedia } from "daxkit";
import { type Volume, type VolumeFs, openFileMedia, openVolume } from "daxkit/node";
import { type MountedFs, withMountedDisk } from "daxkit/ext2fs";
import { Volume as MemoryVolume, createFsFromVolume } from "daxkit/memfs";
import { answers } from "./core.js";

const memory: MemoryVolume = MemoryVolume.fromJSON({ "./a": "1" }, "/dir");
memory.writeFileSync("/dir/b", createFsFromVolume(memory).readFileSync("/dir/a"));
const made = JSON.stringify(memory.toJSON("/dir"));
const read = (fs: MountedFs): string => fs.readFileSync("/dir/b", "utf8");
memory.volume.sync();
memory.volume.close();
const mounted = await withMountedDisk(memory.media, 0, read);
const volume: Volume = openVolume("tour.img");
const fs: VolumeFs = volume.fs;
const names = await fs.promises.readdir("/");
const file = volume.open("/welcome.txt");
const copied: number = file.pread(new Uint8Array(4), 0);
file.close();
volume.close({ revoke: true });
const media = openFileMedia("media.bin", { create: 4096 });
const mapping = mapMedia(media);
mapping.setU64(8, 7);
mapping.persist(8, 8);
media.close();
const stored = readFileSync("media.bin").readBigUInt64LE(8);
const own = [names.includes("sensors"), copied, String(stored), made, mounted];
console.log(JSON.stringify([...answers, ...own]));
`;

/** What a user of vitest writes, as docs/prove-files.md says; `@ts-expect-error` is a test, too. */
const MATCHED = `
import { expect, test } from "vitest";
import {
  type PowerLossAssertions,
  type PowerLossOptions,
  type VolumeProof,
  type VolumeVerdict,
  type VolumeWork,
  assertSurvivesPowerLoss,
  expectAtomic,
  expectPrefix,
  powerLossMatchers,
  prove,
} from "daxkit/prove";

declare module "vitest" {
  interface Matchers<T> extends PowerLossAssertions {}
}

expect.extend(powerLossMatchers);

const workload = ({ fs, ack }: VolumeWork): void => {
  fs.writeFileSync("/f", "new", { flush: true });
  ack("new");
};
const check = expectAtomic("/f", undefined, "new");
const given: PowerLossOptions = { model: "ext4-ordered", check };

test("survives", async () => {
  const done: Promise<void> = expect(workload).toSurvivePowerLoss(given);
  await done;
  await expect(expect(workload).not.toSurvivePowerLoss(given)).rejects.toThrow("SURVIVED");
  await assertSurvivesPowerLoss(workload, { check: expectPrefix() });
  // @ts-expect-error -- there is nothing to be checked
  expect(() => expect(workload).toSurvivePowerLoss({}));
  // @ts-expect-error -- no such model
  expect(() => assertSurvivesPowerLoss(workload, { ...given, model: "ext5" }));
  // @ts-expect-error -- no such matcher
  expect(() => expect(workload).toSurvivePowerLos(given));
});

const typed: VolumeProof<number, string> = {
  workload: ({ fs, ack, random, clock, mapping }) => {
    fs.writeFileSync("/n", String(clock.now().sec), { flush: true });
    mapping("/n", { sync: true }).flush(0, 1);
    random.fill(new Uint8Array(4));
    ack(1);
    // @ts-expect-error -- promises are numbers
    ack("1");
  },
  recover: ({ fs }) => fs.readFileSync("/n", "utf8"),
  check: ({ acked, recovered, faults, history }) =>
    acked.every((n) => n > 0 && recovered.length > 0 && faults.length + history.sights.length >= 0),
};
export const verdict: Promise<VolumeVerdict> = prove(typed);
`;

/** Writes a project file, and type-checks and compiles with it. */
function compile(
  name: string,
  module: string,
  moduleResolution: string,
  sources: object,
  by = "@typescript/native/bin/tsc",
): void {
  const strict = {
    types: ["node"],
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
  };
  const compilerOptions = {
    module,
    moduleResolution,
    target: "es2023",
    lib: ["es2023"],
    ...strict,
  };
  const text = JSON.stringify({
    ...sources,
    compilerOptions: { ...compilerOptions, outDir: name },
  });
  writeFileSync(join(project, `${name}.json`), text);
  const compiler = join(REPOSITORY, "node_modules", by);
  output(process.execPath, compiler, "-p", `${name}.json`);
}

test.each([
  ["nodenext", "nodenext"],
  ["esnext", "bundler"],
])("a strict program is typed and runs: module %s, resolution %s", (module, resolution) => {
  writeFileSync(join(project, "core.ts"), CORE);
  writeFileSync(join(project, "program.ts"), PROGRAM);
  compile(resolution, module, resolution, { files: ["program.ts"] });
  const printed = output(process.execPath, join(resolution, "program.js"));
  const answers = ["42", "Survived", 1024, 1024, "object", true, 4, "7"];
  const memory = ['{"/dir/a":"1","/dir/b":"1"}', "1"];
  expect(JSON.parse(printed)).toEqual(answers.concat(memory));
});

// The older compiler takes ten seconds.
const COMPILERS = ["@typescript/native/bin/tsc", ...(EVERYTHING ? ["typescript/bin/tsc6"] : [])];

test.each(
  COMPILERS.flatMap((by) => [
    ["node16", "node16", by] as const,
    ["esnext", "bundler", by] as const,
  ]),
)("matchers and proofs are typed: module %s, resolution %s, by %s", (module, how, by) => {
  writeFileSync(join(project, "matched.ts"), MATCHED);
  compile("matched", module, how, { files: ["matched.ts"] }, by);
  expect(existsSync(join(project, "matched/matched.js"))).toBe(true);
});

test("every path of `exports` is there, with types, and loads", () => {
  const formats = files("dist/format", ".js").map((path) => basename(path, ".js"));
  expect(formats.length).toBeGreaterThan(5);
  const { exports } = manifest();
  const entries = Object.entries(exports).flatMap(([path, target]) => {
    if (typeof target === "string") return [];
    const names = path.includes("*") ? formats : [""];
    return names.map((name) => ({
      specifier: `daxkit${path.slice(1).replace("*", name)}`,
      types: target.types.replace("*", name),
    }));
  });
  expect(entries.filter(({ types }) => !existsSync(join(installed, types)))).toEqual([]);
  const loads = entries.map(({ specifier }) => `await import(${JSON.stringify(specifier)});`);
  writeFileSync(join(project, "loads.mjs"), loads.join("\n"));
  output(process.execPath, "loads.mjs");
});

test("maps lead to sources that are there", () => {
  const maps = files("dist", ".map");
  expect(maps.length).toBeGreaterThan(100);
  const lost = maps.filter((path) => {
    const { sources } = JSON.parse(readFileSync(path, "utf8")) as { sources: string[] };
    return sources.some((source) => !existsSync(join(dirname(path), source)));
  });
  expect(lost).toEqual([]);
});

test("the command helps, tours, and reads and proves what it ships", () => {
  expect(output(daxkit, "--help")).toContain("Usage: daxkit COMMAND");
  expect(output(daxkit, "tour")).toContain("sums that differ from the manifest: 0");
  const examples = join("node_modules", "daxkit", "examples");
  expect(output(daxkit, "iomem", join(examples, "machine.yaml"))).toContain("Persistent Memory");
  expect(output(daxkit, "prove", join(examples, "log-right.ts"))).toContain("SURVIVED");
  expect(run(daxkit, ["prove", join(examples, "log-missing-flush.ts")]).status).toBe(1);
  const image = join(project, "tour.img");
  expect(output(daxkit, "cat", `${image}:/welcome.txt`)).not.toBe("");
  expect(output(daxkit, "check", image)).toContain("clean");
});

test("README's proof is proved in the reader's own project", () => {
  const readme = readFileSync(join(installed, "README.md"), "utf8");
  const counter = /```ts\n(\/\/ counter\.ts\n[^]*?)```/u.exec(readme)?.[1] ?? "";
  writeFileSync(join(project, "counter.ts"), counter);
  compile("readme", "nodenext", "nodenext", { files: ["counter.ts"] });
  expect(output(daxkit, "prove", "counter.ts")).toContain("SURVIVED  a counter");
  copyFileSync(join(project, "readme", "counter.js"), join(project, "counter.js"));
  expect(output(daxkit, "prove", "counter.js")).toContain("SURVIVED  a counter");
});
