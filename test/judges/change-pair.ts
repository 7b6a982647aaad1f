/**
 * Lines of coreutils and their like, run by them in a kernel's mount, and by us in an image.
 */
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { runLine } from "../support/command-line.ts";

/** Directories have their own order. */
function sorted(text: string): string {
  return text.split("\n").toSorted().join("\n");
}

/** How a line ended, in words that both can have. */
export interface Ended {
  readonly line: string;
  readonly status: number;
  readonly stdout: string;
  /** Errors by their codes. */
  readonly errors: readonly string[];
}

/** What strerror(3) says, by code. */
const STRERROR: Readonly<Record<string, string>> = {
  "No such file or directory": "ENOENT",
  "File exists": "EEXIST",
  "Not a directory": "ENOTDIR",
  "Is a directory": "EISDIR",
  "Directory not empty": "ENOTEMPTY",
  "Invalid argument": "EINVAL",
  "File name too long": "ENAMETOOLONG",
  "Too many levels of symbolic links": "ELOOP",
  "No space left on device": "ENOSPC",
  "Device or resource busy": "EBUSY",
  "Operation not permitted": "EPERM",
  "No such attribute": "ENODATA",
  "No data available": "ENODATA",
  "Operation not supported": "ENOTSUP",
  "Numerical result out of range": "ERANGE",
  "File too large": "EFBIG",
};

/** What coreutils find out without the kernel, as the kernel would say it. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/-r not specified|cannot overwrite directory|with non-directory/u, "EISDIR"],
  [/cannot overwrite non-directory/u, "ENOTDIR"],
  [/(?:through|on) dangling symlink/u, "ENOENT"],
  [/cannot copy a directory|subdirectory of itself/u, "EINVAL"],
  [/cp: .* are the same file/u, "EINVAL"],
];

function inWords(text: string): string {
  return WORDS.find(([rule]) => rule.test(text))?.[1] ?? "other";
}

/** Words of a line; those in quotes are one. */
function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/gu)].map(([, quoted, plain]) => quoted ?? plain ?? "");
}

/** `put` is cp of one file. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = { put: ["cp"] };

/** Runs a line in a mount; `host` is what `%` stands for. */
export function theirs(line: string, mount: string, host: string): Ended {
  const [name = "", ...args] = words(line);
  const [program = name, ...first] = PROGRAMS[name] ?? [name];
  const paths = args.map((word) => word.replaceAll("@/", `${mount}/`).replaceAll("%/", `${host}/`));
  const env = { ...process.env, LC_ALL: "C.UTF-8", TZ: "UTC" };
  const ended = spawnSync(program, [...first, ...paths], { env, encoding: "utf8" });
  const errors = ended.stderr
    .split("\n")
    .filter((text) => text !== "" && !/Removing leading|^Try /u.test(text))
    .map((text) => STRERROR[text.slice(text.lastIndexOf(": ") + 2)] ?? inWords(text));
  const stdout = sorted(ended.stdout)
    .replaceAll(mount, "@")
    .replaceAll(host, "%")
    .replaceAll(/^# file: .*(?=@)|^mkdir: /gmu, (text) => (text.startsWith("#") ? "# file: " : ""))
    .replaceAll(`# file: ${mount.slice(1)}`, "# file: @");
  return { line, status: ended.status ?? -1, stdout, errors };
}

/** Runs a line in an image. */
export async function ours(line: string, image: string, host: string): Promise<Ended> {
  const [name = "", ...args] = words(line);
  const paths = args.map((word) =>
    word.replaceAll("@/", `${image}:/`).replaceAll("%/", `${host}/`),
  );
  const ended = await runLine([name, ...paths]);
  const errors = ended.stderr
    .split("\n")
    .filter((text) => text !== "")
    .map((text) => /: (E[A-Z0-9]+): /u.exec(text)?.[1] ?? "other");
  const stdout = sorted(ended.stdout)
    .replaceAll(`${image}:`, "@")
    .replaceAll(host, "%")
    .replaceAll(/^# file: (?!@)/gmu, "# file: @/");
  // A mistake in the usage is status 2 here.
  const usage = ended.stderr.includes(": usage: ");
  return { line, status: usage ? 1 : ended.status, stdout, errors };
}

/** Everything that a tree shows but what differs by nature: numbers of inodes, times of changes. */
export function shownTree(folder: string): string {
  const format = `%P %y %m %U %G %n %s %l\\n`;
  const env = { ...process.env, LC_ALL: "C", TZ: "UTC" };
  const run = (program: string, args: readonly string[]) =>
    execFileSync(program, args, { cwd: folder, env, encoding: "latin1", stdio: "pipe" });
  const list = run("find", [".", "-not", "-name", "lost+found", "-printf", format]);
  const lines = list
    .split("\n")
    // Sizes of directories depend on what was in them, and holes on allocation.
    .map((line) => line.replace(/^(\S* d \S+ \S+ \S+ \d+) \d+/u, "$1"))
    .toSorted();
  const sums = run("sh", ["-c", "find . -type f -print0 | sort -z | xargs -0 -r md5sum"]);
  const attributes = run("getfattr", ["-dRh", "-m", "-", "."]);
  return [...lines, sums, attributes].join("\n");
}

/** Files to be copied. */
export function makeHost(folder: string): void {
  fs.mkdirSync(join(folder, "tree/sub/deeper"), { recursive: true });
  fs.mkdirSync(join(folder, "dir"));
  fs.writeFileSync(join(folder, "small"), "a small file\n");
  fs.writeFileSync(join(folder, "empty"), "");
  fs.writeFileSync(join(folder, "big"), Buffer.alloc(300_000, "0123456789abcdef"));
  fs.writeFileSync(join(folder, "sparse"), "start");
  fs.truncateSync(join(folder, "sparse"), 1 << 20);
  for (const name of ["hard1", "sub/inner", "sub/deeper/last", "naïve ünïcode"]) {
    fs.writeFileSync(join(folder, "tree", name), `content of ${name}`);
  }
  fs.linkSync(join(folder, "tree/hard1"), join(folder, "tree/sub/hard2"));
  fs.symlinkSync("sub/inner", join(folder, "tree/link"));
  fs.symlinkSync("nowhere", join(folder, "tree/sub/broken"));
  fs.chmodSync(join(folder, "tree/sub"), 0o750);
  fs.chmodSync(join(folder, "tree/hard1"), 0o640);
  spawnSync("mkfifo", [join(folder, "tree/fifo")]);
  spawnSync("setfattr", ["-n", "user.k", "-v", "v", join(folder, "tree/hard1")]);
  for (const name of ["tree/hard1", "tree/sub/inner", "tree/sub", "tree"]) {
    fs.utimesSync(join(folder, name), 1_600_000_000, 1_600_000_001.25);
  }
}
