/** `daxkit prove --mount-fuse`: commands on a volume that loses its power. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { programs } from "../judges/judge.ts";
import { type Ended, MAIN, REPOSITORY, daxkit, jsonLines } from "../support/daxkit.ts";
import { fuseMounts } from "../support/mounting.ts";

const judge = fuseMounts();
const e2fsprogs = programs(["e2fsck", "debugfs"], "apt-get install e2fsprogs");
const EXAMPLES = join(REPOSITORY, "examples", "programs");

/** What a verdict says, as far as it is looked at here. */
interface Told {
  readonly kind: string;
  readonly why?: string;
  readonly noRemedy?: string;
  readonly said?: string;
  readonly phase?: string;
  readonly space?: string;
  readonly state?: string;
  readonly again?: string;
  readonly missingCalls?: readonly { readonly what: string; readonly path: string }[];
  readonly counterExample?: {
    readonly said: string;
    readonly cuts?: readonly { readonly during: string }[];
  };
}

function told(ended: Ended): Told {
  const [verdict] = jsonLines(ended.stdout);
  if (verdict === undefined) throw new Error(ended.stderr);
  return verdict as Told;
}

const inPlace = (commits: string): string[] => [
  "--setup",
  'echo old >"$DAXKIT_MOUNT/f"; sync "$DAXKIT_MOUNT/f"',
  "--check",
  'grep -qx -e old -e new "$DAXKIT_MOUNT/f" || { echo torn; exit 1; }',
  "--commits",
  commits,
];
const touch = ["sh", "-c", 'echo x >"$DAXKIT_MOUNT/f"; echo ack'];

const redo = ["sh", "-c", 'cd "$DAXKIT_MOUNT"; echo new >redo; sync redo; echo ack'];
const recovering = (recover: string, depth: number): string[] => [
  "--setup",
  'echo old >"$DAXKIT_MOUNT/f"',
  "--commits",
  "asked",
  "--recover",
  `cd "$DAXKIT_MOUNT"; [ -e redo ] || exit 0; ${recover}`,
  "--check",
  'test $DAXKIT_ACKED = 0 || grep -qx new "$DAXKIT_MOUNT/f"',
  "--depth",
  String(depth),
];

describe.skipIf(judge.missing)(`commands on a mount${judge.hint}`, () => {
  let folder = "";
  let directory = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "daxkit-mounted-"));
    directory = join(folder, "mount");
    mkdirSync(directory);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const run = (options: readonly string[], command: readonly string[]): Ended =>
    daxkit(["prove", "--json", "--mount-fuse", directory, ...options, "--", ...command]);
  const script = join(EXAMPLES, "replace.sh");
  const replace = (how: string, ...more: string[]): Ended =>
    run(
      ["--setup", `sh ${script} setup`, "--check", `sh ${script} check`, ...more],
      ["sh", script, how],
    );

  test.skipIf(e2fsprogs.missing)(
    `a name that is not synced is lost, for e2fsck too${e2fsprogs.hint}`,
    () => {
      const image = join(folder, "lost.img");
      const ended = replace("file", "--save-image", image);
      const verdict = told(ended);
      expect([ended.status, verdict.kind]).toEqual([1, "Lost"]);
      expect(verdict.counterExample?.said).toContain("file holds 'old', and 1 promises");
      expect(verdict.missingCalls).toMatchObject([{ what: "directory", path: "/" }]);
      spawnSync("e2fsck", ["-p", image]);
      execFileSync("e2fsck", ["-fn", image], { stdio: "ignore" });
      const dump = (path: string) =>
        execFileSync("debugfs", ["-R", `cat ${path}`, image], { encoding: "utf8" });
      expect(dump("/file")).toBe("old\n");
      const again = replace("file", "--state", verdict.state ?? "");
      expect([again.status, told(again).why]).toMatchObject([
        3,
        expect.stringContaining("file holds 'old'") as string,
      ]);
    },
  );

  test("with the directory synced every state survives, and both syncs are needed", () => {
    const ended = replace("whole", "--jobs", "1");
    const verdict = told(ended);
    expect([ended.status, verdict.kind]).toEqual([0, "Survived"]);
    expect(BigInt(verdict.space ?? 0)).toBeGreaterThan(100n);
    // The commit that the directory's fsync makes does not wait for the data (dioread_nolock).
    expect(verdict).toMatchObject({ redundantCalls: [] });
  });

  test("what the filesystem commits by itself is in order, not at once", () => {
    const command = ["sh", "-c", 'echo new >"$DAXKIT_MOUNT/f"'];
    expect(told(run(inPlace("asked"), command)).kind).not.toBe("Lost");
    expect(told(run(inPlace("any"), command)).counterExample?.said).toContain("torn");
  });

  // Right where power stays; else there is nothing left to do it again with.
  const hasty = "rm redo; sync .; echo new >f";

  test("what recovers is run before the check, and cut as well", () => {
    expect(told(run(recovering(hasty, 1), redo)).kind).toBe("Survived");
    const fails = told(run(recovering("echo no; exit 4", 1), redo));
    expect(fails.counterExample).toMatchObject({ phase: "recover", said: "no" });
    const lost = told(run([...recovering(hasty, 2), "--state", "2/12"], redo));
    expect(lost.why).toContain("only state 2/12 was made: ");
    expect(lost.why).not.toContain("are content");
  });

  // Each takes half a minute.
  const long = process.env["DAXKIT_LONG"] === undefined ? [] : ["every cut of what recovers"];
  test.each(long)("%s", () => {
    const lost = told(run(recovering(hasty, 2), redo));
    expect([lost.kind, lost.counterExample?.cuts?.map(({ during }) => during)]).toEqual([
      "Lost",
      ["workload", "recovery"],
    ]);
    const again = told(run([...recovering(hasty, 2), "--state", lost.state ?? ""], redo));
    expect(again.why).toContain(`only state ${lost.state} was made: `);
    const careful = "cat redo >t; sync t; mv t f; sync .; rm redo";
    expect(told(run(recovering(careful, 2), redo)).kind).toBe("Survived");
  });

  test("a command meets what fails, and is to heed it", () => {
    const check = 'test $DAXKIT_ACKED = 0 || grep -qx new "$DAXKIT_MOUNT/f"';
    const options = ["--check", check, "--commits", "asked", "--faults", "write@1,flush"];
    const write = 'cd "$DAXKIT_MOUNT"; echo new >f; sync f; echo ack';
    const lost = told(run(options, ["sh", "-c", write]));
    const threw = expect.stringMatching(/^heed of the error: pwrite threw EIO/u) as string;
    expect(lost).toMatchObject({ kind: "Lost", noRemedy: threw, fault: { kind: "write", at: 1 } });
    const again = told(run([...options, "--state", lost.state ?? ""], ["sh", "-c", write]));
    expect(again.why).toMatch(/only state write1~\S+ was made: it ended with status 1/u);
    const heeds = told(run(options, ["sh", "-c", `set -e; ${write}`]));
    expect(heeds).toMatchObject({ kind: "Survived", faults: [{ run: 1 }, { run: 1 }] });
    const delayed = ["--check", check, "--faults", "write@1"];
    const twice = told(run(delayed, ["sh", "-c", `set -e; ${write}`]));
    expect(twice).toMatchObject({ kind: "Survived", faults: [{ kind: "write", run: 2 }] });
    expect(run(["--check", check, "--faults", "enospc"], ["true"])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("it takes all, or of write, flush") as string,
    });
  });

  test("a check that changes its mind, and a budget that is too small", () => {
    const coin = join(folder, "coin");
    const flips = `rm ${coin} 2>/dev/null && exit 1; echo >${coin}`;
    const why = expect.stringContaining("not deterministic") as string;
    expect(told(run(["--jobs", "1", "--check", flips], touch))).toMatchObject({ why });
    const budget = told(replace("whole", "--budget", "3"));
    expect([budget.kind, budget.why]).toEqual([
      "NotMeasured",
      "the budget of 3 checks was hit, and none of them had an objection",
    ]);
  });

  const good = ["--check", "true"];
  test.each<[string, readonly string[], readonly string[], number, RegExp]>([
    [
      "is not there",
      good,
      ["sh", "-c", "no-such-command"],
      2,
      /status 127.*no-such-command: not found/su,
    ],
    ["fails", good, ["sh", "-c", "echo why >&2; exit 3"], 2, /status 3, having said:\nwhy/u],
    ["does not end", [...good, "--patience", "1"], ["sleep", "60"], 2, /not end within 1 s/u],
    ["writes nothing", good, ["true"], 3, /stored nothing/u],
    [
      "leaves a program behind",
      good,
      ["sh", "-c", 'sleep 60 >"$DAXKIT_MOUNT/f" & echo ack'],
      2,
      /has ended, and \S+ \(\d+\) still runs/u,
    ],
    [
      "leaves a program of its own session behind",
      good,
      ["sh", "-c", 'exec 3>"$DAXKIT_MOUNT/f"; setsid sleep 60 <&3 & sleep 0.3; echo ack'],
      2,
      /has ended, and sleep \(\d+\) use/u,
    ],
    [
      "fills the volume",
      good,
      ["sh", "-c", 'head -c 20M /dev/zero >"$DAXKIT_MOUNT/f"'],
      2,
      /the volume was full: --size/u,
    ],
    ["is checked by what is always content", good, touch, 3, /content with an empty volume/u],
    [
      "is checked by what is not there",
      ["--check", ": && no-such-check"],
      touch,
      2,
      /cannot be run/u,
    ],
    [
      "is recovered by what is not there",
      [...good, "--recover", ": && no-such-recovery"],
      touch,
      2,
      /cannot be run/u,
    ],
    [
      "is recovered by what leaves a program behind",
      [...good, "--recover", "sleep 60 &"],
      touch,
      2,
      /has ended, and sleep \(\d+\) still runs/u,
    ],
    [
      "is checked by what does not end",
      ["--check", "sleep 60", "--patience", "1"],
      touch,
      2,
      /did not end within 1 s/u,
    ],
  ])("a command that %s", (_, options, command, status, words) => {
    const ended = run(options, command);
    const { said, why } = told(ended);
    expect([ended.status, said ?? why]).toEqual([status, expect.stringMatching(words)]);
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(directory);
  });

  test("a directory that is not empty, and options that mean nothing", () => {
    const full = join(folder, "full");
    mkdirSync(full);
    writeFileSync(join(full, "f"), "");
    const args = ["prove", "--mount-fuse", full, ...good, "--", "true"];
    expect(daxkit(args)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("ENOTEMPTY") as string,
    });
    const odd = daxkit(["prove", "--setup", "true", "file.ts"]);
    expect([odd.status, odd.stderr]).toMatchObject([2, expect.stringContaining("--mount-fuse")]);
    expect(run([], ["true"]).stderr).toContain("--check");
  });

  test("Ctrl-C ends the command, and the mounts go", async () => {
    const started = join(folder, "started");
    const command = ["sh", "-c", `echo x >"$DAXKIT_MOUNT/f"; echo >${started}; sleep 60`];
    const words = [MAIN, "prove", "--mount-fuse", directory, ...good, "--", ...command];
    const child = spawn(process.execPath, words, { stdio: "ignore" });
    const end = new Promise((resolve) => child.once("exit", resolve));
    await vi.waitUntil(() => existsSync(started), { timeout: 60_000 });
    child.kill("SIGINT");
    expect(await end).toBe(130);
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(directory);
  });
});
