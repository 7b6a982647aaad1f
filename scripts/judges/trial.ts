/**
 * One judge on one image: make, mount, run, unmount, check. Nothing stays mounted, whatever fails.
 */
import { chmodSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expectClean, expectKernelAgrees, expectRecovers, treeLines } from "./aftermath.ts";
import { makeImage } from "./images.ts";
import { type Figures, type Judge, type Place, type Size, folderIn } from "./judge.ts";
import { type MountKind, type Mounted, mountAs } from "./mounts.ts";
import { must } from "./processes.ts";

export interface Trial {
  readonly judge: Judge;
  readonly image: string;
  readonly on: MountKind;
  readonly size: Size;
  readonly seed: number;
  readonly given: Place["given"];
  readonly numbers: Readonly<Record<string, number>>;
  /** An empty folder for everything. */
  readonly folder: string;
  /** Of the mount. */
  readonly options?: string;
  readonly say: (line: string) => void;
}

export interface Outcome {
  readonly judge: string;
  readonly image: string;
  readonly on: MountKind;
  readonly size: Size;
  /** That the judge itself took. */
  readonly seconds: number;
  /** Of the process behind the mount. */
  readonly cpuSeconds?: number;
  readonly figures: Figures;
  readonly failure?: string;
}

/** Mutable while it runs. */
interface Measured {
  seconds: number;
  cpuSeconds?: number;
  figures: Figures;
}

export async function judgeOn(trial: Trial): Promise<Outcome> {
  const { judge, image, on, size } = trial;
  const measured: Measured = { seconds: 0, figures: {} };
  const head = { judge: judge.name, image, on, size };
  try {
    await attempt(trial, measured);
    return { ...head, ...measured };
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    return { ...head, ...measured, failure };
  }
}

async function attempt(trial: Trial, measured: Measured): Promise<void> {
  const { judge, folder, image, on, size, options } = trial;
  const path = join(folder, "judged.img");
  const log = join(folder, "mount.log");
  // Servers that refuse root run as somebody else.
  chmodSync(folder, 0o755);
  const top = folderIn(folder, "mnt");
  await makeImage(image, path, judge.mib[size]);
  const mount = (): Promise<Mounted> => mountAs(on, path, top, log, options);
  const current = { mounted: await mount() };
  const crash = async (): Promise<void> => {
    await current.mounted.abandon();
    await expectRecovers(path);
    current.mounted = await mount();
  };
  const lines = await withMount(current, log, async () => {
    await runJudge(trial, current, crash, measured);
    // Where blocks are allocated late, they are now.
    await must("sync", ["-f", top]);
    return treeLines(top);
  });
  await expectClean(path);
  await expectKernelAgrees(path, top, lines, on === "fuse2fs");
}

/** The mount, which is another one after a crash. */
interface Current {
  mounted: Mounted;
}

async function runJudge(
  trial: Trial,
  current: Current,
  crash: Place["crash"],
  measured: Measured,
): Promise<void> {
  const { judge, folder, image, numbers, size } = trial;
  const place: Place = {
    folder: folderIn(current.mounted.folder, "judged"),
    scratch: folderIn(folder, "scratch"),
    image,
    size,
    crash,
    seed: trial.seed,
    given: trial.given,
    number: (name, small, full) => numbers[name] ?? (size === "full" ? full : small),
    say: trial.say,
  };
  const before = current.mounted.cpuSeconds() ?? 0;
  const started = performance.now();
  try {
    measured.figures = await judge.run(place);
  } finally {
    measured.seconds = (performance.now() - started) / 1000;
    const after = current.mounted.cpuSeconds();
    if (after !== undefined) measured.cpuSeconds = after - before;
  }
}

/** Unmounts after `body`, by force where it failed and the mount does not go otherwise. */
async function withMount<T>(current: Current, log: string, body: () => Promise<T>): Promise<T> {
  let result: T;
  try {
    result = await body();
  } catch (error) {
    const said = readFileSync(log, { encoding: "utf8", flag: "a+" }).slice(-2000);
    await current.mounted.unmount().catch(() => current.mounted.abandon());
    if (said !== "" && error instanceof Error) error.message += `\nthe mount said:\n${said}`;
    throw error;
  }
  await current.mounted.unmount().catch(async (error: unknown) => {
    await current.mounted.abandon();
    throw error;
  });
  return result;
}
