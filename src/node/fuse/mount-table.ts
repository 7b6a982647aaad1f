/**
 * What is mounted where, as the kernel tells this process.
 *
 * @module
 */
import { readFileSync } from "node:fs";

/** A line of `/proc/self/mountinfo`. */
export interface MountEntry {
  /** Its first five fields, as they stand there: nothing else is this mount. */
  readonly mark: string;
  readonly id: number;
  /** The mount that this one lies on. */
  readonly parent: number;
  /** `MAJOR:MINOR` of the superblock. */
  readonly device: string;
  readonly mountPoint: string;
  readonly type: string;
  readonly source: string;
  /** Of the mount and of the filesystem, as mount(8) shows them. */
  readonly options: string;
}

/** All mounts that a process sees, in the order in which they were made; this one unless given. */
export function readMounts(pid: number | "self" = "self"): MountEntry[] {
  const lines = readFileSync(`/proc/${pid}/mountinfo`, "latin1").split("\n");
  return lines.flatMap((line) => decodeMount(line) ?? []);
}

/** The mount that covers `directory`, an absolute path without links; undefined where none does. */
export function mountAt(directory: string): MountEntry | undefined {
  return readMounts().findLast((entry) => entry.mountPoint === directory);
}

function decodeMount(line: string): MountEntry | undefined {
  const [left, right] = line.split(" - ");
  const [id, parent, device, root, mountPoint, own = ""] = left?.split(" ") ?? [];
  if (device === undefined || root === undefined || mountPoint === undefined) return undefined;
  const [type = "", source = "", all = ""] = right?.split(" ") ?? [];
  // Whether it is read-only is said by both.
  const others = all.split(",").filter((word) => word !== "" && !own.split(",").includes(word));
  return {
    mark: `${id} ${parent} ${device} ${root} ${mountPoint} `,
    id: Number(id),
    parent: Number(parent),
    device,
    mountPoint: unescaped(mountPoint),
    type,
    source: unescaped(source),
    options: unescaped([own, ...others].join(",")),
  };
}

/** The kernel writes blanks, tabs, newlines and backslashes as octal numbers. */
function unescaped(field: string): string {
  const bytes = field.replaceAll(/\\([0-7]{3})/gu, (_, octal: string) =>
    String.fromCodePoint(Number.parseInt(octal, 8)),
  );
  return Buffer.from(bytes, "latin1").toString("utf8");
}
