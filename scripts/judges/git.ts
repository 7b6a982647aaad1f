/**
 * git: a repository of tens of thousands of objects is made, cloned, checked, packed and cleaned.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type Figures, type Judge, type Place, folderIn } from "./judge.ts";
import { Failure, must } from "./processes.ts";

const WHO = "Judge <judge@example.org>";
/** Of files in one directory. */
const FANOUT = 50;

/** A stream for `git fast-import`: `commits` of `changes` files each. */
function* streamOf(commits: number, changes: number, seed: number): Generator<string> {
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >>> 8) % below;
  };
  for (let commit = 0; commit < commits; commit++) {
    yield `commit refs/heads/main\ncommitter ${WHO} ${1_700_000_000 + commit * 60} +0000\n`;
    const message = `change ${commit}`;
    yield `data ${message.length}\n${message}\n`;
    for (let change = 0; change < changes; change++) {
      const file = random(commits * 4 + changes);
      const folder = Math.floor(file / FANOUT);
      const path = `d${Math.floor(folder / FANOUT)}/d${folder}/f${file}.c`;
      const body = `/* ${commit}.${change} */\n`.repeat(1 + random(60));
      yield `M 100644 inline ${path}\ndata ${body.length}\n${body}\n`;
    }
  }
}

function git(cwd: string, ...args: readonly string[]): Promise<{ output: string }> {
  const env = {
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_AUTHOR_NAME: "Judge",
    GIT_AUTHOR_EMAIL: "judge@example.org",
    GIT_COMMITTER_NAME: "Judge",
    GIT_COMMITTER_EMAIL: "judge@example.org",
  };
  return must("git", ["-c", "safe.directory=*", "-c", "gc.auto=0", ...args], { cwd, env });
}

/** A repository whose objects all lie loose. */
async function makeRepository(origin: string, place: Place): Promise<void> {
  const commits = place.number("commits", 30, 600);
  const changes = place.number("changes", 20, 40);
  await git(origin, "init", "-q", "-b", "main", ".");
  const input = [...streamOf(commits, changes, place.seed)].join("");
  const unpack = ["-c", "fastimport.unpackLimit=100000000", "fast-import", "--quiet"];
  await must("git", ["-c", "safe.directory=*", ...unpack], { cwd: origin, input });
  await git(origin, "reset", "-q", "--hard", "main");
}

async function objectsOf(repository: string): Promise<number> {
  const { output } = await git(repository, "rev-list", "--objects", "--all");
  return output.split("\n").length - 1;
}

async function clean(repository: string, what: string): Promise<void> {
  const { output } = await git(repository, "status", "--porcelain");
  if (output !== "") throw new Failure(`git status after ${what}:\n${output.slice(0, 2000)}`);
}

async function work(repository: string): Promise<void> {
  await git(repository, "checkout", "-q", "-b", "side", "main~20");
  await clean(repository, "checkout");
  await must("cp", ["-a", "d0", "copied"], { cwd: repository });
  await git(repository, "add", "copied");
  await git(repository, "commit", "-q", "-m", "copy");
  await git(repository, "mv", "copied", "moved");
  await git(repository, "commit", "-q", "-m", "move");
  await git(repository, "checkout", "-q", "main");
  await clean(repository, "checkout of main");
  await git(repository, "merge", "-q", "-m", "merge", "side");
  await clean(repository, "merge");
}

async function gitJudge(place: Place): Promise<Figures> {
  const origin = folderIn(place.folder, "origin");
  await makeRepository(origin, place);
  const objects = await objectsOf(origin);
  await git(origin, "fsck", "--full", "--strict", "--no-progress");
  await git(place.folder, "clone", "-q", "--no-local", "origin", "clone");
  await git(place.folder, "clone", "-q", "origin", "linked");
  const clone = join(place.folder, "clone");
  await git(clone, "fsck", "--full", "--no-progress");
  await clean(clone, "clone");
  await work(clone);
  await git(origin, "gc", "-q", "--prune=now");
  await git(origin, "fsck", "--full", "--no-progress");
  const loose = readdirSync(join(origin, ".git/objects")).filter((name) => name.length === 2);
  if (loose.length > 0) throw new Failure(`git gc left loose objects in ${loose.join(" ")}`);
  await git(join(place.folder, "linked"), "fsck", "--full", "--no-progress");
  return { objects };
}

export const GIT: Judge = {
  name: "git",
  summary: "tens of thousands of loose objects: clone, fsck, checkout, merge, gc",
  mib: { small: 128, full: 2048 },
  programs: ["git"],
  run: gitJudge,
};
