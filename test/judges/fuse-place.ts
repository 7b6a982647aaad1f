/**
 * What judges of a mounted filesystem need here: root, /dev/fuse, and room for an image.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type Judge as MountJudge, missing } from "../../scripts/judges/judge.ts";
import { judgeOn } from "../../scripts/judges/trial.ts";
import { type Judge, probed } from "./judge.ts";
import { loopMounts } from "./loop-mount.ts";

const CAP_SYS_ADMIN = 21n;

/** A container may lack what a mount needs, and nothing that can be installed helps. */
function mayMount(): boolean {
  const status = readFileSync("/proc/self/status", "utf8");
  const [, mask = "0"] = /CapEff:\s*([0-9a-f]+)/u.exec(status) ?? [];
  return ((BigInt(`0x${mask}`) >> CAP_SYS_ADMIN) & 1n) === 1n && existsSync("/dev/fuse");
}

const fuse = mayMount();
const loops = fuse ? loopMounts() : { missing: true, hint: " (skipped: no /dev/fuse here)" };

function here(judge: MountJudge, install: string): Judge {
  return loops.missing ? loops : probed(() => missing(judge, {}) === undefined, install);
}

/** A test in which `judge` works on a mount by `daxkit mount`, at its small size. */
export function judged(
  judge: MountJudge,
  image: string,
  { install, numbers = {} }: { install: string; numbers?: Readonly<Record<string, number>> },
): void {
  const { missing: absent, hint } = here(judge, install);
  test.skipIf(absent)(`${judge.name}: ${judge.summary} (${image})${hint}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "daxkit-judges-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const trial = { judge, image, on: "daxkit", size: "small", seed: 1, given: {} } as const;
    const { failure, figures } = await judgeOn({ ...trial, numbers, folder, say: () => {} });
    expect(failure).toBeUndefined();
    expect(Object.keys(figures).length).toBeGreaterThan(0);
  });
}
