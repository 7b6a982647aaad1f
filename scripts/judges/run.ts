/**
 * `npm run judges -- [JUDGE...]`: programs that are not ours judge a mounted image. Each judge gets
 * a new image, which afterwards is unmounted, checked by e2fsck and compared with what the kernel's
 * own driver sees in it. `--help` says the rest.
 */
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { IMAGES } from "./images.ts";
import { type Judge, type Size, missing } from "./judge.ts";
import { JUDGES } from "./judges.ts";
import { MOUNT_KINDS, type MountKind } from "./mounts.ts";
import { inOrder } from "./processes.ts";
import { type Outcome, judgeOn } from "./trial.ts";

const HELP = `usage: npm run judges -- [JUDGE...] [OPTION...]

Judges a mounted image by programs that are not ours, as root. All judges that can run unless some
are named.

  --list            the judges, and what is missing for each
  --on KIND         daxkit, fuse2fs or kernel; repeat for several (daxkit)
  --image NAME      ${Object.keys(IMAGES).join(", ")};
                    repeat for several, or 'all' (ext4)
  --full            at full size; small without it
  --seed N          of what is random (1)
  --set NAME=N      changes a number of a judge, as operations=1000 or seconds=60
  --options LIST    mount options beside allow_other,default_permissions
  --scratch FOLDER  where images and mounts are made (${tmpdir()})
  --json FILE       a line for each outcome is added to it
  --keep            leaves image and logs of what failed
DAXKIT_COMMAND in the environment names the script of another daxkit than this clone's.
Programs that were fetched and built elsewhere:
  --pjdfstest FOLDER   a built checkout; --only TEXT runs the files whose names have it
  --fsx PROGRAM        of xfstests, or of the Linux Test Project
  --fsstress PROGRAM   likewise
  --speedtest1 PROGRAM of SQLite; --speedtest1-lead TEXT is put before its options
`;

const GIVEN = ["pjdfstest", "only", "fsx", "fsstress", "speedtest1", "speedtest1-lead"] as const;

function readArguments() {
  return parseArgs({
    allowPositionals: true,
    options: {
      help: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      on: { type: "string", multiple: true, default: ["daxkit"] },
      image: { type: "string", multiple: true, default: ["ext4"] },
      full: { type: "boolean", default: false },
      seed: { type: "string", default: "1" },
      set: { type: "string", multiple: true, default: [] },
      options: { type: "string", default: "" },
      scratch: { type: "string", default: tmpdir() },
      json: { type: "string" },
      keep: { type: "boolean", default: false },
      ...Object.fromEntries(GIVEN.map((name) => [name, { type: "string" as const }])),
    },
  });
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function list(given: Readonly<Record<string, string>>): void {
  for (const judge of JUDGES) {
    const reason = missing(judge, given);
    say(`${judge.name.padEnd(10)} ${judge.summary}${reason === undefined ? "" : ` [${reason}]`}`);
  }
}

function judgesNamed(names: readonly string[], given: Readonly<Record<string, string>>): Judge[] {
  if (names.length === 0) return JUDGES.filter((judge) => missing(judge, given) === undefined);
  return names.map((name) => {
    const judge = JUDGES.find((candidate) => candidate.name === name);
    if (judge === undefined) throw new Error(`no judge '${name}'; --list names them`);
    const reason = missing(judge, given);
    if (reason !== undefined) throw new Error(`${name}: ${reason}`);
    return judge;
  });
}

function kindOf(name: string): MountKind {
  const kind = MOUNT_KINDS.find((candidate) => candidate === name);
  if (kind === undefined) throw new Error(`--on ${name}: ${MOUNT_KINDS.join(", ")}`);
  return kind;
}

function numbersOf(settings: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    settings.map((setting) => {
      const [name = "", value = ""] = setting.split("=");
      if (!/^\d+$/u.test(value)) throw new Error(`--set ${setting}: NAME=NUMBER`);
      return [name, Number(value)] as const;
    }),
  );
}

function lineOf({ judge, on, image, failure, seconds, cpuSeconds, figures }: Outcome): string {
  const cpu = cpuSeconds === undefined ? "" : `, ${cpuSeconds.toFixed(1)} s of CPU behind it`;
  const counted = Object.entries(figures).map(([name, value]) => `${name} ${value}`);
  const verdict = failure === undefined ? "passed" : "FAILED";
  const head = `${verdict} ${judge} on ${image} by ${on}: ${seconds.toFixed(1)} s${cpu}`;
  return [head, ...counted].join("; ");
}

async function main(): Promise<number> {
  const { values, positionals } = readArguments();
  const all = values as Readonly<Record<string, unknown>>;
  const given = Object.fromEntries(
    GIVEN.flatMap((name) => (typeof all[name] === "string" ? [[name, all[name]]] : [])),
  );
  if (values.help) return (process.stdout.write(HELP), 0);
  if (values.list) return (list(given), 0);
  const judges = judgesNamed(positionals, given);
  const images = values.image.includes("all") ? Object.keys(IMAGES) : values.image;
  const size: Size = values.full ? "full" : "small";
  const shared = { size, seed: Number(values.seed), given, numbers: numbersOf(values.set) };
  const trials = judges.flatMap((judge) =>
    images.flatMap((image) =>
      values.on
        .map(kindOf)
        .filter((on) => judge.fits?.(image, on) ?? true)
        .map((on) => ({ judge, image, on })),
    ),
  );
  let failed = 0;
  await inOrder(trials, async (trial) => {
    const folder = mkdtempSync(join(values.scratch, "daxkit-judges-"));
    const outcome = await judgeOn({ ...shared, ...trial, folder, options: values.options, say });
    say(lineOf(outcome));
    if (values.json !== undefined) appendFileSync(values.json, `${JSON.stringify(outcome)}\n`);
    if (outcome.failure !== undefined) failed++;
    if (outcome.failure !== undefined) say(outcome.failure);
    if (outcome.failure !== undefined && values.keep) {
      writeFileSync(join(folder, "failure.txt"), outcome.failure);
      say(`kept in ${folder}`);
    } else {
      rmSync(folder, { recursive: true, force: true });
    }
  });
  return failed === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`judges: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
