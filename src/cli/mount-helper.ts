/**
 * What mount(8) and umount(8) call for filesystems of type `fuse.daxkit`, and mount.fuse3 for lack
 * of a helper. The exit statuses are theirs.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { UsageError } from "./command.ts";
import { isOperatingError, oneLine } from "./errors.ts";
import { type HelperWords, helperWords, inNamespace } from "./helper-words.ts";
import { mountInBackground } from "./mount-background.ts";
import { readMountOptions, splitOptions } from "./mount-options.ts";
import { isMissing, sourceOf } from "./mount-source.ts";
import { OwnerNumbers } from "./owners.ts";
import { findMount, unmount } from "./unmounting.ts";

/** Statuses of mount(8). */
const OK = 0;
const USAGE = 1;
const FAILURE = 32;

/** What the kernel changes of a mount without asking anybody. */
const CHANGEABLE =
  /^(?:remount|ro|rw|(?:no)?(?:exec|dev|suid|atime|diratime|relatime)|strictatime)$/u;
/** What mount(8) adds, since the mount has it already. */
const OWN = /^(?:user_id=.*|group_id=.*|default_permissions|allow_other)$/u;

/** Where a helper says what went wrong. */
export type Say = (text: string) => void;

/** `mount.fuse.daxkit SPEC DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]` */
export async function mountHelper(argv: readonly string[], say: Say): Promise<number> {
  return guarded(say, async () => {
    const words = helperWords(argv, "sfnvrw");
    const [source, directory, extra] = words.operands;
    if (source === undefined || directory === undefined || extra !== undefined) {
      throw new UsageError("mount.fuse.daxkit SPEC DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS]");
    }
    if (words.namespace !== undefined) return elsewhere(words.namespace, words.rest, say);
    return mountAs(source, directory, words, say);
  });
}

async function mountAs(
  source: string,
  directory: string,
  { flags, options }: HelperWords,
  say: Say,
): Promise<number> {
  const lists = flags.has("r") ? [...options, "ro"] : options;
  const how = { sloppy: flags.has("s"), owners: new OwnerNumbers() };
  const { settings, ignored } = readMountOptions(lists, how);
  if (settings.remount) return remount(directory, options.flatMap(splitOptions), say);
  if (flags.has("v") && ignored.length > 0) say(`without effect: ${ignored.join(", ")}`);
  if (flags.has("f")) return OK;
  if (ignored.includes("nofail") && isMissing(source)) {
    if (flags.has("v")) say(`${source} is not there; nothing is mounted (nofail)`);
    return OK;
  }
  const report = await mountInBackground({
    source: sourceOf(source),
    directory: resolve(directory),
    // What lies there is covered, as by any other mount of mount(8).
    settings: { ...settings, nonempty: true },
    nbd: undefined,
    log: undefined,
  });
  if (!report.mounted) {
    say(report.text);
    return FAILURE;
  }
  if (!flags.has("n")) tellUmount(settings.fsname ?? sourceOf(source), report.directory);
  return OK;
}

/**
 * umount(8) asks for no helper unless a mount's entry in its own table says so, which only mount(8)
 * can write. That it cannot is no reason not to mount: then umount does not wait for the image.
 */
function tellUmount(source: string, directory: string): void {
  const line = ["-i", "-f", "-t", "fuse.daxkit", "-o", "uhelper=fuse.daxkit", source, directory];
  spawnSync("mount", line, { stdio: "ignore", timeout: 10_000 });
}

/** The kernel does it alone; what the process behind the mount was told stays as it is. */
function remount(directory: string, words: readonly string[], say: Say): number {
  const { ignored } = readMountOptions(words, { sloppy: true });
  const changes = words.filter((word) => CHANGEABLE.test(word));
  const odd = words.filter(
    (word) => !CHANGEABLE.test(word) && !OWN.test(word) && !ignored.includes(word),
  );
  if (odd.length > 0) say(`${odd.join(", ")}: as it was mounted; unmount it to change that`);
  const line = ["-i", "-o", changes.join(","), directory];
  const { status } = spawnSync("mount", line, { stdio: "inherit" });
  return status ?? FAILURE;
}

/** `umount.fuse.daxkit DIR [-flnrv] [-N NAMESPACE] [-t TYPE]` */
export async function umountHelper(argv: readonly string[], say: Say): Promise<number> {
  return guarded(say, async () => {
    const { operands, flags, namespace, rest } = helperWords(argv, "flnrv");
    const [place, extra] = operands;
    if (place === undefined || extra !== undefined) {
      throw new UsageError("umount.fuse.daxkit DIR [-flnrv] [-N NAMESPACE]");
    }
    if (namespace !== undefined) return elsewhere(namespace, rest, say);
    await unmount(await findMount(place), { lazy: flags.has("l"), force: flags.has("f") });
    return OK;
  });
}

/** Runs this program there; the line does not say so any more. */
function elsewhere(namespace: string, rest: readonly string[], say: Say): number {
  const line = [process.execPath, process.argv[1] as string, ...rest];
  const { status, error } = spawnSync("nsenter", inNamespace(namespace, line), {
    stdio: "inherit",
  });
  if (error !== undefined) say(`-N needs nsenter: ${error.message}`);
  return status ?? FAILURE;
}

async function guarded(say: Say, body: () => Promise<number>): Promise<number> {
  try {
    return await body();
  } catch (error) {
    if (error instanceof UsageError) {
      say(`usage: ${error.message}`);
      return USAGE;
    }
    if (!isOperatingError(error)) throw error;
    say(oneLine(error));
    return FAILURE;
  }
}
