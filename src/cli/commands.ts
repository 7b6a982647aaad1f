/**
 * The command table: the one place where a command is added. Only the command that is run is
 * loaded: all of them take longer than most of what they do.
 *
 * @module
 */
import type { Command } from "./command.ts";

/** Every command by its name, in the order of help. */
const loaders: Readonly<Record<string, () => Promise<Command>>> = {
  tour: async () => (await import("./commands/tour.ts")).tour,
  up: async () => (await import("./commands/up.ts")).up,
  nbd: async () => (await import("./commands/nbd.ts")).nbd,
  "nbd-check": async () => (await import("./commands/nbd-check.ts")).nbdCheck,
  mount: async () => (await import("./commands/mount.ts")).mount,
  umount: async () => (await import("./commands/umount.ts")).umount,
  dmsetup: async () => (await import("./commands/dmsetup.ts")).dmsetup,
  iomem: async () => (await import("./commands/iomem.ts")).iomem,
  list: async () => (await import("./commands/list.ts")).list,
  ls: async () => (await import("./commands/ls.ts")).ls,
  tree: async () => (await import("./commands/tree.ts")).tree,
  cat: async () => (await import("./commands/cat.ts")).cat,
  stat: async () => (await import("./commands/stat.ts")).stat,
  df: async () => (await import("./commands/df.ts")).df,
  extents: async () => (await import("./commands/extents.ts")).extents,
  cp: async () => (await import("./commands/cp.ts")).cp,
  put: async () => (await import("./commands/put.ts")).put,
  mkdir: async () => (await import("./commands/mkdir.ts")).mkdir,
  rm: async () => (await import("./commands/rm.ts")).rm,
  mv: async () => (await import("./commands/mv.ts")).mv,
  ln: async () => (await import("./commands/ln.ts")).ln,
  chmod: async () => (await import("./commands/chmod.ts")).chmod,
  chown: async () => (await import("./commands/chown.ts")).chown,
  touch: async () => (await import("./commands/touch.ts")).touch,
  truncate: async () => (await import("./commands/truncate.ts")).truncate,
  fallocate: async () => (await import("./commands/fallocate.ts")).fallocate,
  setfattr: async () => (await import("./commands/setfattr.ts")).setfattr,
  getfattr: async () => (await import("./commands/getfattr.ts")).getfattr,
  sync: async () => (await import("./commands/sync.ts")).sync,
  tar: async () => (await import("./commands/tar.ts")).tar,
  fill: async () => (await import("./commands/fill.ts")).fill,
  check: async () => (await import("./commands/check.ts")).check,
  "mkfs.ext2": async () => (await import("./commands/mkfs.ts")).mkfsExt2,
  "mkfs.ext3": async () => (await import("./commands/mkfs.ts")).mkfsExt3,
  "mkfs.ext4": async () => (await import("./commands/mkfs.ts")).mkfsExt4,
  tune: async () => (await import("./commands/tune.ts")).tune,
  resize: async () => (await import("./commands/resize.ts")).resize,
  prove: async () => (await import("./commands/prove.ts")).prove,
  replay: async () => (await import("./commands/replay.ts")).replay,
  exhibit: async () => (await import("./commands/exhibit.ts")).exhibit,
  dax: async () => (await import("./commands/dax.ts")).dax,
  completion: async () => (await import("./commands/completion.ts")).completion,
  man: async () => (await import("./commands/man.ts")).man,
};

/** Commands that speak of all the others. */
const SPEAKERS: ReadonlySet<string> = new Set(["completion", "man"]);

/** Every command, in the order of help. */
export async function allCommands(): Promise<readonly Command[]> {
  return await Promise.all(Object.values(loaders).map(async (load) => await load()));
}

/** What a line that starts with `word` needs: its command, or all of them. */
export async function commandsFor(word: string | undefined): Promise<readonly Command[]> {
  const load = word === undefined || SPEAKERS.has(word) ? undefined : ownLoader(word);
  return load === undefined ? await allCommands() : [await load()];
}

/** Whether a command has this name. */
export function isCommand(word: string): boolean {
  return Object.hasOwn(loaders, word);
}

function ownLoader(word: string): (() => Promise<Command>) | undefined {
  return Object.hasOwn(loaders, word) ? loaders[word] : undefined;
}
