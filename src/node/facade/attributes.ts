/**
 * Operations that change what is known of a file: its mode, owner, times and size.
 *
 * @module
 */
import { constants } from "node:fs";
import type { Timespec } from "../../lib/environment.ts";
import { DaxError } from "../../lib/errno.ts";
import type { OpenFile } from "../../vfs/open-file.ts";
import type { AttributeChange } from "../../vfs/writing.ts";
import { checkDescriptor, checkInteger, modeOf, secondsOf } from "./arguments.ts";
import { type Context, onFile, onPath } from "./context.ts";
import { openFile } from "./opening.ts";
import { type Operation, type OperationTable, operation } from "./operation.ts";
import { type PathArgument, pathOf } from "./paths.ts";

const MOST_ID = 2 ** 32 - 1;
/** Seconds past this are refused by the kernel's own type before any filesystem sees them. */
const MOST_SECONDS = 2 ** 63;

/**
 * What libuv makes of a fraction: whole microseconds, cut towards zero.
 * @throws EINVAL for a date that is none, or seconds that no time has
 */
function timespecOf(seconds: number, syscall: string): Timespec {
  if (Number.isNaN(seconds) || Math.abs(seconds) >= MOST_SECONDS) {
    throw new DaxError("EINVAL", { syscall });
  }
  const sec = Math.trunc(seconds);
  const cut = Math.trunc((seconds - sec) * 1e9);
  const nsec = cut - (cut % 1000);
  return nsec < 0 ? { sec: sec - 1, nsec: nsec + 1e9 } : { sec, nsec };
}

/** -1 leaves an owner as it is, and so does the same in 32 bits. */
function ownerOf(id: number): number | undefined {
  return id === -1 || id === MOST_ID ? undefined : id;
}

type Change = (context: Context, path: PathArgument, follow: boolean) => void;

/** A call on a path; `read` checks the arguments behind it, in Node's order. */
function onPathTo(
  syscall: string,
  follow: boolean,
  read: (args: readonly unknown[]) => Change,
): Operation {
  return operation((context, [value, ...rest]) => {
    const path = pathOf(value);
    const change = read(rest);
    return () => onPath(path, syscall, () => change(context, path, follow));
  });
}

/** A call on a descriptor; Node looks at the other arguments first. */
function onDescriptorTo(
  syscall: string,
  read: (args: readonly unknown[]) => () => AttributeChange,
): Operation {
  return operation((context, [value, ...rest]) => {
    const change = read(rest);
    const fd = checkDescriptor(value);
    return () => {
      const file = context.file(fd, syscall);
      onFile(syscall, () => file.change(change()));
    };
  });
}

function readMode([value]: readonly unknown[]): Change {
  const mode = modeOf(value) & 0o7777;
  return (context, { path }, follow) => {
    context.tree.chmod(path, mode, { follow, ...context.by("chmod") });
  };
}

function readOwners(args: readonly unknown[]): { uid: number; gid: number } {
  const uid = checkInteger(args[0], "uid", -1, MOST_ID);
  const gid = checkInteger(args[1], "gid", -1, MOST_ID);
  return { uid, gid };
}

function readOwnersOf(syscall: string): (args: readonly unknown[]) => Change {
  return (args) => {
    const { uid, gid } = readOwners(args);
    return (context, { path }, follow) => {
      const how = { follow, ...context.by(syscall) };
      context.tree.chown(path, ownerOf(uid), ownerOf(gid), how);
    };
  };
}

function readTimesOf(syscall: string): (args: readonly unknown[]) => Change {
  return ([first, second]) => {
    const [atime, mtime] = [secondsOf(first), secondsOf(second)];
    return (context, { path }, follow) => {
      const times = { atime: timespecOf(atime, syscall), mtime: timespecOf(mtime, syscall) };
      context.tree.utimes(path, times, { follow, ...context.by(syscall) });
    };
  };
}

function checkLength(value: unknown): number {
  return Math.max(0, checkInteger(value === undefined ? 0 : value, "len"));
}

function truncateOpen(context: Context, fd: number, length: number): void {
  const file = context.file(fd, "ftruncate");
  onFile("ftruncate", () => file.truncate(length));
}

const ftruncate = operation((context, [value, given]) => {
  const length = checkLength(given);
  const fd = checkDescriptor(value);
  return () => truncateOpen(context, fd, length);
});

/** truncate(path) is Node's own: an open for writing, and a call on the descriptor. */
const truncate: Operation = {
  onDescriptorToo: true,
  prepare(context, args, flavour) {
    const [value, given] = args;
    if (typeof value === "number") return ftruncate.prepare(context, args, flavour);
    // Only a callback's length is looked at before the file is.
    const early = flavour === "callback" ? checkLength(given) : undefined;
    const path = pathOf(value);
    return () =>
      onOpen(context, path, (file) => {
        const length = early ?? checkLength(given);
        onFile("ftruncate", () => file.truncate(length));
      });
  },
};

function onOpen(context: Context, path: PathArgument, body: (file: OpenFile) => void): void {
  const file = onPath(path, "open", () => openFile(context, path, constants.O_RDWR));
  try {
    body(file);
  } finally {
    file.close();
  }
}

/** What changes attributes. */
export const ATTRIBUTES: OperationTable = {
  chmod: onPathTo("chmod", true, readMode),
  chown: onPathTo("chown", true, readOwnersOf("chown")),
  fchmod: onDescriptorTo("fchmod", ([value]) => {
    const mode = modeOf(value) & 0o7777;
    return () => ({ mode });
  }),
  fchown: onDescriptorTo("fchown", (args) => {
    const { uid, gid } = readOwners(args);
    const [owner, group] = [ownerOf(uid), ownerOf(gid)];
    return () => ({
      ...(owner === undefined ? {} : { uid: owner }),
      ...(group === undefined ? {} : { gid: group }),
    });
  }),
  ftruncate,
  futimes: onDescriptorTo("futime", ([first, second]) => {
    const [atime, mtime] = [secondsOf(first, "atime"), secondsOf(second, "mtime")];
    return () => ({ atime: timespecOf(atime, "futime"), mtime: timespecOf(mtime, "futime") });
  }),
  lchown: onPathTo("lchown", false, readOwnersOf("lchown")),
  lutimes: onPathTo("lutime", false, readTimesOf("lutime")),
  truncate,
  utimes: onPathTo("utime", true, readTimesOf("utime")),
};
