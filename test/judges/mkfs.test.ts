/**
 * What `daxkit mkfs` makes, before e2fsck, dumpe2fs, debugfs, the kernel, and mke2fs itself: told
 * the same, both make the same bytes, but for differences that are listed with their reasons.
 */
import { execFile, execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { tmpdir } from "node:os";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeVolume } from "../../src/node/make-volume.ts";
import { checkVolume } from "../../src/node/volume.ts";
import { runLine } from "../support/command-line.ts";
import { places } from "../support/scratch.ts";
import { WHOLE, shortOnes } from "../support/slices.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";
import { MADE, type MadeVariant, PROFILES, UNCOMPARED } from "./mkfs-variants.ts";

const run = promisify(execFile);
const e2fsprogs = programs(
  ["e2fsck", "mke2fs", "dumpe2fs", "debugfs"],
  "apt-get install e2fsprogs",
);
const loop = loopMounts();
const ours = e2fsprogs.missing ? "" : String(spawnSync("mke2fs", ["-V"]).stderr);
/** Versions after it have other defaults. */
const sameVersion = /mke2fs 1\.47\.0 /u.test(ours);

const TIME = "1700000000";
const FIXED = ["-U", "11111111-2222-3333-4444-555555555555"];
const SEED = "hash_seed=66666666-7777-8888-9999-aaaaaaaaaaaa";

const folder = fs.mkdtempSync(join(places["tmpfs"] ?? tmpdir(), "daxkit-mkfs-"));
const profiles = join(folder, "mke2fs.conf");
beforeAll(() => {
  fs.writeFileSync(profiles, PROFILES);
  process.env["SOURCE_DATE_EPOCH"] = TIME;
});
afterAll(() => {
  delete process.env["SOURCE_DATE_EPOCH"];
  fs.rmSync(folder, { recursive: true });
});

const UNITS: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** A new file of the size that a line starts with, and the words behind it. */
function prepared(line: string, name: string): { image: string; words: string[]; type: string } {
  const [size = "", ...words] = line.split(" ");
  const image = join(folder, name);
  fs.writeFileSync(image, "");
  fs.truncateSync(image, Number(size.slice(0, -1)) * (UNITS[size.slice(-1)] as number));
  const typed = words.indexOf("-t");
  const type = typed === -1 ? "ext4" : (words.splice(typed, 2)[1] as string);
  const extended = words.indexOf("-E");
  if (extended === -1) words.push("-E", SEED);
  else words[extended + 1] += `,${SEED}`;
  return { image, words: [...FIXED, ...words], type };
}

async function makeOurs(line: string, name: string): Promise<string> {
  const { image, words, type } = prepared(line, name);
  const ended = await runLine([`mkfs.${type}`, "-F", "-q", ...words, image]);
  expect(ended).toEqual({ status: 0, stdout: "", stderr: "" });
  return image;
}

async function makeTheirs(line: string, name: string): Promise<string> {
  const { image, words, type } = prepared(line, name);
  const env = {
    ...process.env,
    E2FSPROGS_FAKE_TIME: TIME,
    SOURCE_DATE_EPOCH: TIME,
    MKE2FS_CONFIG: profiles,
  };
  await run("mke2fs", ["-F", "-q", "-t", type, ...words, image], { env });
  return image;
}

/** Lines of e2fsck that are no complaint. */
const QUIET = /^\s*$|^Pass \d|: \d+\/\d+ files \(|^MMP interval is/u;

async function expectClean(image: string): Promise<void> {
  // It rejects when the status is not 0.
  const { stdout } = await run("e2fsck", ["-fn", image]);
  expect(stdout.split("\n").filter((line) => !QUIET.test(line))).toEqual([]);
}

/** Features that the driver does not read, and so does not check. */
const UNREAD = /casefold|encoding|encrypt/u;

async function fields(image: string): Promise<Map<string, string>> {
  const { stdout } = await run("dumpe2fs", ["-h", image]);
  const found = new Map<string, string>();
  for (const line of stdout.split("\n")) {
    const colon = line.indexOf(":");
    if (colon === -1 || /^\s*mmp_/u.test(line)) continue;
    found.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  for (const name of Object.keys(UNCOMPARED)) found.delete(name);
  return found;
}

const LIFETIME_WRITES = 0x178;
const CHECKSUM = 0x3fc;

/** Numbers of the KiB in which two images differ, {@link UNCOMPARED} fields aside. */
function differences(a: string, b: string): number[] {
  const [x, y] = [fs.readFileSync(a), fs.readFileSync(b)];
  expect(y.length).toBe(x.length);
  const found: number[] = [];
  const step = 2 ** 20;
  for (let at = 0; at < x.length; at += step) {
    const past = Math.min(at + step, x.length);
    if (x.compare(y, at, past, at, past) === 0) continue;
    for (let k = at; k < past; k += 1024) {
      for (const bytes of [x, y]) {
        if (bytes.readUInt16LE(k + 56) !== 0xef53) continue;
        bytes.fill(0, k + LIFETIME_WRITES, k + LIFETIME_WRITES + 8);
        bytes.fill(0, k + CHECKSUM, k + CHECKSUM + 4);
      }
      if (x.compare(y, k, k + 1024, k, k + 1024) !== 0) found.push(k / 1024);
    }
  }
  return found;
}

const chosen = shortOnes(MADE);

describe.skipIf(e2fsprogs.missing)(
  `made filesystems${e2fsprogs.hint}`,
  { concurrent: true },
  () => {
    test.each(chosen.map((variant, i) => [variant.line, variant, i] as const))(
      "%s",
      async (line: string, { differs }: MadeVariant, i: number) => {
        const image = await makeOurs(line, `ours-${i}.img`);
        await expectClean(image);
        expect(UNREAD.test(line) ? [] : [...checkVolume(image)]).toEqual([]);
        const { stdout } = await run("debugfs", ["-R", "ls -p /", image]);
        expect(stdout).toMatch(
          /^\/2\/040755\/\d+\/\d+\/\.\/\/\n.*\n\/11\/040700\/0\/0\/lost\+found/u,
        );
        const reference = sameVersion ? await makeTheirs(line, `theirs-${i}.img`) : image;
        expect(await fields(image)).toEqual(await fields(reference));
        const differ = differences(reference, image).length > 0;
        expect(differ).toBe(sameVersion && differs !== undefined);
        for (const path of new Set([image, reference])) fs.rmSync(path);
      },
    );

    const huge = WHOLE ? ["16T", "24T -O bigalloc -C 1M", "2T -O ^flex_bg"] : ["1T"];
    test.each(huge)("sparse: %s", async (line) => {
      const [size = "", ...words] = line.split(" ");
      const image = join(folder, `sparse-${size}.img`);
      const ended = await runLine(["mkfs.ext4", "-q", "-U", "random", ...words, image, size]);
      expect(ended).toEqual({ status: 0, stdout: "", stderr: "" });
      expect(fs.statSync(image).blocks * 512).toBeLessThan(256 * 2 ** 20);
      const { stdout } = await run("dumpe2fs", ["-h", image]);
      expect(stdout).toMatch(/Filesystem state: +clean/u);
      fs.rmSync(image);
    });
  },
);

describe.skipIf(e2fsprogs.missing || loop.missing)(`the kernel writes to them${loop.hint}`, () => {
  const lines = MADE.map(({ line }) => line).filter(
    (line) => WHOLE || /^64M( -b 4096)?$/u.test(line),
  );
  // Not every kernel has all of these; and Linux stores checksums for others in its own way.
  const unmountable = /casefold|encoding|65536|16384$|encrypt|verity|quota|project|FreeBSD/u;
  const mountable = lines.filter((line) => /^\d{2,}M/u.test(line) && !unmountable.test(line));

  test.each(mountable.filter((_, i) => i % 3 === 0))("%s", async (line) => {
    const image = await makeOurs(line, "mounted.img");
    const target = join(folder, "mounted");
    fs.mkdirSync(target, { recursive: true });
    const text = Buffer.alloc(300_000, "daxkit ");
    withLoopMount(image, target, "rw", (root) => {
      expect(fs.readdirSync(root)).toEqual(["lost+found"]);
      for (let i = 0; i < 20; i++) fs.mkdirSync(join(root, `d${i}`));
      fs.writeFileSync(join(root, "d1", "file"), text);
      fs.symlinkSync("d1/file", join(root, "link"));
    });
    execFileSync("e2fsck", ["-fn", image], { stdio: "pipe" });
    withLoopMount(image, target, "ro", (root) => {
      expect(fs.readFileSync(join(root, "link")).equals(text)).toBe(true);
    });
    fs.rmSync(image);
  });

  test("a file that is mounted is not made anew", async () => {
    const image = await makeOurs("64M", "busy.img");
    const target = join(folder, "busy");
    fs.mkdirSync(target);
    withLoopMount(image, target, "ro", () => {
      expect(() => makeVolume(image, { force: true })).toThrow(/EBUSY.*mounted on .*busy/u);
    });
    await expectClean(image);
  });
});
