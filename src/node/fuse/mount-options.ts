/**
 * Options of a mount, for the kernel and for fusermount3.
 *
 * @module
 */
import type { FrameSink } from "./channel.ts";
import type { FuseEngineKind } from "./engine.ts";

/** How a server is mounted, whatever it serves. */
export interface MountServerOptions {
  /** What `/proc/mounts` names as the source; "daxkit" unless told otherwise. */
  readonly fsname?: string;
  /** The type is `fuse.` and this; "daxkit" unless told otherwise. "" for plain `fuse`. */
  readonly subtype?: string;
  readonly readOnly?: boolean;
  readonly noexec?: boolean;
  /** As root false unless told otherwise; always true through fusermount3. */
  readonly nodev?: boolean;
  /** As {@link nodev}. */
  readonly nosuid?: boolean;
  readonly noatime?: boolean;
  /** Other users may look in. As an ordinary user it needs `user_allow_other` in fuse.conf. */
  readonly allowOther?: boolean;
  /** The kernel checks modes and owners itself; true unless told otherwise. */
  readonly defaultPermissions?: boolean;
  /** Mount on a directory that has entries, or over another mount. */
  readonly nonempty?: boolean;
  /** Unmount when this process dies, however it dies; true unless told otherwise. */
  readonly autoUnmount?: boolean;
  /** `shared` unless told otherwise. */
  readonly engine?: FuseEngineKind;
  /** Bytes that the kernel may read ahead of who reads; 1 MiB unless told otherwise. */
  readonly readAhead?: number;
  /** Hears every frame. */
  readonly record?: FrameSink;
  /** `fusermount3`: not by mount(2), even as root. `mount`: by that alone, whoever asks. */
  readonly through?: "auto" | "fusermount3" | "mount";
}

const MS_RDONLY = 1;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MS_NOATIME = 1024;
const S_IFDIR = 0o040000;

/** The flags of mount(2). */
export function mountFlags(options: MountServerOptions): number {
  const { readOnly, nosuid, nodev, noexec, noatime } = options;
  return (
    (readOnly === true ? MS_RDONLY : 0) |
    (nosuid === true ? MS_NOSUID : 0) |
    (nodev === true ? MS_NODEV : 0) |
    (noexec === true ? MS_NOEXEC : 0) |
    (noatime === true ? MS_NOATIME : 0)
  );
}

/** The data of mount(2). */
export function mountData(fd: number, options: MountServerOptions): string {
  const [user, group] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
  const own = [`fd=${fd}`, `rootmode=${S_IFDIR.toString(8)}`, `user_id=${user}`];
  return [...own, `group_id=${group}`, ...permissions(options)].join(",");
}

/** What follows `-o` of fusermount3. */
export function fusermountOptions(options: MountServerOptions): string {
  const { fsname = "daxkit", subtype = "daxkit", readOnly, noexec, noatime } = options;
  const words = [readOnly === true ? "ro" : "rw", "nosuid", "nodev", `fsname=${quoted(fsname)}`];
  if (subtype !== "") words.push(`subtype=${quoted(subtype)}`);
  if (noexec === true) words.push("noexec");
  if (noatime === true) words.push("noatime");
  return [...words, ...permissions(options)].join(",");
}

/** fusermount3 takes a backslash before what would end an option. */
function quoted(text: string): string {
  return text.replaceAll(/[,\\]/gu, String.raw`\$&`);
}

function permissions({ defaultPermissions, allowOther }: MountServerOptions): string[] {
  return [
    ...(defaultPermissions === false ? [] : ["default_permissions"]),
    ...(allowOther === true ? ["allow_other"] : []),
  ];
}
