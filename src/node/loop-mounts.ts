/**
 * Files that are mounted through a loop device. The kernel takes no lock on them, so a writer has
 * to look.
 *
 * @module
 */
import { readFileSync, readdirSync, realpathSync } from "node:fs";

const DEVICES = "/sys/block";

/** `mounted on /mnt through /dev/loop3`; undefined where it is not, or nobody can tell. */
export function loopMountOf(path: string): string | undefined {
  try {
    const file = realpathSync(path);
    const names = readdirSync(DEVICES).filter((name) => /^loop\d+$/u.test(name));
    const device = names.find((name) => backingFile(name) === file);
    return device === undefined ? undefined : mountOf(`/dev/${device}`);
  } catch {
    return undefined;
  }
}

/** Undefined for a device without a file, or one that goes while it is looked at. */
function backingFile(name: string): string | undefined {
  try {
    return readFileSync(`${DEVICES}/${name}/loop/backing_file`, "utf8").replace(/\n$/u, "");
  } catch {
    return undefined;
  }
}

/** A device or one of its partitions. */
function mountOf(device: string): string | undefined {
  for (const line of readFileSync("/proc/mounts", "utf8").split("\n")) {
    const [source, target] = line.split(" ");
    const own = source === device || source?.startsWith(`${device}p`) === true;
    if (own) return `mounted on ${target} through ${source}`;
  }
  return undefined;
}
