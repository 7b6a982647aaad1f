/**
 * Mounts that only one process sees, with all that it starts: so several checks can see their
 * states in one place at the same time.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { type MountEntry, readMounts } from "../../fuse/mount-table.ts";
import { detach } from "../../fuse/unmounting.ts";

/**
 * - `root`: mounts of its own, in which others' mounts still come and go where those are shared;
 * - `user`: the same for an ordinary user, who may mount in a user namespace, and is himself there;
 * - `none`: neither is granted, so that one check is mounted at a time, for all to see.
 */
export type MountSpace = "root" | "user" | "none";

const MOUNTS = ["--mount", "--propagation", "slave", "--"];
const UNSHARE: Readonly<Record<MountSpace, readonly string[]>> = {
  root: ["unshare", ...MOUNTS],
  user: ["unshare", "--user", "--map-current-user", "--keep-caps", ...MOUNTS],
  none: [],
};
/** What may be done in a user namespace is for mounting, and not for what is started there. */
const PLAIN = ["setpriv", "--ambient-caps", "-all", "--inh-caps", "-all", "--"];

/** What is granted to this process, for mounts on a directory. */
export function mountSpaceFor(directory: string): MountSpace {
  if (process.geteuid?.() === 0) return runs([...UNSHARE.root, "true"]) ? "root" : "none";
  // Some systems grant the namespace, and nothing in it.
  const mounts = runs([...UNSHARE.user, "mount", "-t", "tmpfs", "none", directory]);
  return mounts && runs([...UNSHARE.user, ...PLAIN, "true"]) ? "user" : "none";
}

/** The words with which a program is started in a space of its own. */
export function wordsIn(space: MountSpace, words: readonly string[]): readonly string[] {
  return [...UNSHARE[space], ...words];
}

/** The words with which a program of somebody else is started from there. */
export function plainWordsIn(space: MountSpace, words: readonly string[]): readonly string[] {
  return space === "user" ? [...PLAIN, ...words] : words;
}

function runs([program = "", ...words]: readonly string[]): boolean {
  return spawnSync(program, words, { stdio: "ignore", cwd: "/" }).status === 0;
}

/**
 * The mounts that a space began with, copies of those of another process. Where mounts are private
 * a copy stays when its original is unmounted, and keeps the device busy; here it goes as well.
 */
export class CopiedMounts {
  readonly #from: number;
  readonly #copied: readonly MountEntry[];

  /** `from`: the process whose mounts were copied to this one. */
  constructor(from: number) {
    this.#from = from;
    this.#copied = readMounts();
  }

  /** Lets go of what is not mounted there any more. */
  async follow(): Promise<void> {
    const left = new Map<string, number>();
    let originals: readonly MountEntry[];
    try {
      originals = readMounts(this.#from);
    } catch {
      // It has ended, and so does this process.
      return;
    }
    for (const entry of originals) left.set(placeOf(entry), (left.get(placeOf(entry)) ?? 0) + 1);
    for (const entry of this.#copied) {
      const count = left.get(placeOf(entry)) ?? 0;
      left.set(placeOf(entry), count - 1);
      // What another mount lies over goes when that has gone.
      // oxlint-disable-next-line no-await-in-loop
      if (count <= 0) await detach(entry, undefined, { lazy: true }).catch(() => {});
    }
  }
}

/** What a mount and its copy have in common: device, directory of it, and place. */
function placeOf({ mark }: MountEntry): string {
  return mark.split(" ").slice(2).join(" ");
}
