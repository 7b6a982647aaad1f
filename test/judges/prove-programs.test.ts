/**
 * Programs that nobody changed, proved on a mount (docs/prove-programs.md): the verdicts are those
 * of the table, and what is lost is lost for e2fsck and this machine's kernel too. CI takes a
 * slice; `DAXKIT_LONG=1` takes all.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { REPOSITORY, daxkit, jsonLines } from "../support/daxkit.ts";
import { fuseMounts } from "../support/mounting.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const PROGRAMS = join(REPOSITORY, "examples", "programs");

interface Case {
  readonly name: string;
  readonly needs: readonly string[];
  readonly build?: string;
  readonly setup?: string;
  readonly check: string;
  readonly run: string;
  readonly expected: "Survived" | "Lost";
}

interface Told {
  readonly kind: string;
  readonly counterExample?: { readonly cuts: readonly { readonly acked: readonly string[] }[] };
}

const { cases } = JSON.parse(readFileSync(join(PROGRAMS, "cases.json"), "utf8")) as {
  readonly cases: readonly Case[];
};
const SLICE = new Set([
  "SQLite, journal_mode=delete, synchronous=full: durable",
  "SQLite, journal_mode=wal, synchronous=full: durable",
]);
const whole = process.env["DAXKIT_LONG"] !== undefined;
const chosen = cases.filter(({ name }) => whole || SLICE.has(name));
const isThere = (program: string): boolean => spawnSync("which", [program]).status === 0;
const judge = fuseMounts();
const others = programs(["e2fsck", "sqlite3", "python3"], "apt-get install e2fsprogs sqlite3");
const kernel = loopMounts();

describe.skipIf(judge.missing || others.missing || kernel.missing)(
  `programs on a mount${judge.hint}${others.hint}${kernel.hint}`,
  () => {
    let folder = "";
    const place = (name: string): string => join(folder, name);
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), "daxkit-programs-"));
      for (const name of ["mount", "kernel"]) mkdirSync(place(name));
    });
    afterAll(() => rmSync(folder, { recursive: true }));

    const titled = chosen
      .filter(({ needs }) => needs.every(isThere))
      .map((each) => [`${each.name}: ${each.expected}`, each] as const);
    test.each(titled)(
      "%s",
      { timeout: 600_000 },
      (_, { build = ":", setup, check, run: line, expected }) => {
        const image = place("image");
        const built = { DAXKIT_BUILT: folder };
        spawnSync("sh", ["-c", build], { cwd: PROGRAMS, env: { ...process.env, ...built } });
        const run = line.replaceAll("$DAXKIT_BUILT", folder);
        const options = ["--save-image", image, "--check", check, "--mount-fuse", place("mount")];
        if (setup !== undefined) options.push("--setup", setup);
        const words = ["prove", "--json", ...options, "--", ...run.split(" ")];
        const { stdout, stderr } = daxkit(words, { cwd: PROGRAMS, env: built });
        const [told] = jsonLines(stdout) as Told[];
        expect([told?.kind, stderr]).toEqual([expected, ""]);
        const acked = told?.counterExample?.cuts[0]?.acked;
        const judged = acked === undefined ? 1 : checkedByOthers(image, check, acked);
        expect(judged).toBe(1);
      },
    );

    /** The check's status, on what e2fsck and the kernel make of an image. */
    function checkedByOthers(image: string, check: string, acked: readonly string[]) {
      // 0: clean, 1: the journal was replayed.
      expect(spawnSync("e2fsck", ["-p", image]).status).toBeLessThanOrEqual(1);
      return withLoopMount(image, place("kernel"), "rw", (mounted) => {
        const promises = { DAXKIT_ACKED: String(acked.length), DAXKIT_BUILT: folder };
        const given = { DAXKIT_MOUNT: mounted, ...promises };
        const input = acked.map((label) => `${label}\n`).join("");
        const env = { ...process.env, ...given };
        return spawnSync("sh", ["-c", check], { cwd: PROGRAMS, env, input }).status;
      });
    }
  },
);
