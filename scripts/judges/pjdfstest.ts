/**
 * pjdfstest: the POSIX conformance tests of file calls, from a checkout that has been built.
 */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Figures, type Judge, type Place, folderIn } from "./judge.ts";
import { Failure, inOrder, run } from "./processes.ts";

/** What one file of tests said. */
interface Tally {
  passed: number;
  planned: number;
  readonly failed: string[];
}

/** Reads the lines of the test anything protocol. */
export function tallyOf(file: string, output: string): Tally {
  const planned = Number(/^1\.\.(\d+)/mu.exec(output)?.[1] ?? 0);
  const results = output.split("\n").filter((line) => /^(not )?ok\b/u.test(line));
  // What is marked so is known not to hold on this system, whatever the filesystem.
  const failed = results.filter((line) => line.startsWith("not ok") && !/# TO[D]O/u.test(line));
  const tally = { passed: results.length - failed.length, planned, failed };
  if (results.length !== planned) failed.push(`${results.length} of ${planned} tests ran`);
  return { ...tally, failed: failed.map((line) => `${file}: ${line}`) };
}

function testFiles(checkout: string, only: string | undefined): string[] {
  const files = readdirSync(join(checkout, "tests"), { recursive: true, encoding: "utf8" });
  const tests = files.filter((path) => path.endsWith(".t")).toSorted();
  return only === undefined ? tests : tests.filter((path) => path.includes(only));
}

/**
 * What some tests ask for the name of the filesystem, to know what to expect: on a FUSE mount they
 * would leave out what ext4 keeps to.
 */
function sayingExt4(scratch: string): string {
  const folder = folderIn(scratch, "bin");
  const line = "echo Filesystem Type; echo judged ext4";
  writeFileSync(join(folder, "df"), `#!/bin/sh\n${line}\n`, { mode: 0o755 });
  return `${folder}:${process.env["PATH"] ?? ""}`;
}

async function pjdfstest({ folder, scratch, given, say }: Place): Promise<Figures> {
  const checkout = resolve(given["pjdfstest"] ?? "");
  if (!existsSync(join(checkout, "pjdfstest"))) {
    throw new Failure(`${checkout} has no program 'pjdfstest': build the checkout first`);
  }
  const files = testFiles(checkout, given["only"]);
  const env = { PATH: sayingExt4(scratch) };
  const total: Tally = { passed: 0, planned: 0, failed: [] };
  await inOrder(files, async (file) => {
    const place = join(folder, file.replaceAll("/", "-"));
    mkdirSync(place, { mode: 0o755 });
    const { output } = await run("sh", [join(checkout, "tests", file)], { cwd: place, env });
    const { passed, planned, failed } = tallyOf(file, output);
    total.passed += passed;
    total.planned += planned;
    total.failed.push(...failed);
    for (const line of failed) say(line);
    // A test that failed may leave what cannot be removed.
    await run("rm", ["-rf", place]);
  });
  const { passed, planned, failed } = total;
  if (planned === 0) throw new Failure("no test ran");
  if (failed.length > 0) {
    throw new Failure(`${failed.length} of ${planned} tests failed\n${failed.join("\n")}`);
  }
  return { files: files.length, tests: planned, passed };
}

export const PJDFSTEST: Judge = {
  name: "pjdfstest",
  summary: "POSIX tests of calls on files, errors and permissions",
  mib: { small: 512, full: 512 },
  programs: [],
  wants: { option: "pjdfstest", what: "a built checkout of pjdfstest" },
  run: pjdfstest,
};
