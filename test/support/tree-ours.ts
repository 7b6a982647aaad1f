/**
 * Calls of a stream with odd paths on a tree of ours, and what they give.
 */
import { isDaxError } from "../../src/lib/errno.ts";
import type { FileTree } from "../../src/vfs/file-tree.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import { S_IFIFO, S_IFMT, S_IFREG, S_IFSOCK } from "../../src/vfs/modes.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
import type { OpenOptions } from "../../src/vfs/opening.ts";
import type { Credentials } from "../../src/vfs/permissions.ts";
import type { TreeCall } from "./tree-stream.ts";

/** Makes a call; what it gives, or the name of an error. */
export function callTree(tree: FileTree, call: TreeCall): string {
  try {
    return run(tree, call);
  } catch (error) {
    if (!isDaxError(error)) throw error;
    if (error.code === "ENXIO" && call.op !== "access") return "special";
    return error.code === "ENOTSUP" ? "EOPNOTSUPP" : error.code;
  }
}

function run(tree: FileTree, call: TreeCall): string {
  const { path, to, who, mode, kind } = call;
  const { umask, ...credentials } = who;
  const as = { credentials };
  const self = { ...as, follow: kind % 2 === 0 };
  switch (call.op) {
    case "open":
      return withFile(tree, call, (file) => shown(file.inode));
    case "write":
      return withFile(tree, call, (file) => {
        const count = file.isWritable ? file.write(new Uint8Array(call.size).fill(7)) : -1;
        return `${count} ${shown(file.inode)}`;
      });
    case "mkdir":
      return shown(tree.mkdir(path, { ...as, mode, umask }));
    case "mknod": {
      const type = [S_IFIFO, S_IFSOCK, S_IFREG, 0][kind % 4] as number;
      return shown(tree.mknod(path, { ...as, mode: mode | type, umask }));
    }
    case "symlink":
      return shown(tree.symlink(to, path, as));
    case "link":
      tree.link(path, to, self);
      return "ok";
    case "unlink":
    case "rmdir":
      tree[call.op](path, as);
      return "ok";
    case "rename":
      tree.rename(path, to, { ...as, noReplace: kind === 1, exchange: kind === 2 });
      return "ok";
    case "readdir":
      return [...tree.readdir(path, "scandir", as)]
        .map(({ name }) => name)
        .toSorted()
        .join(" ");
    case "stat":
    case "lstat":
      return shown(tree[call.op](path, as));
    case "readlink":
      return tree.readlink(path, as);
    default:
      return change(tree, call, credentials);
  }
}

function change(tree: FileTree, call: TreeCall, credentials: Credentials): string {
  const { path, kind, mode, size, name } = call;
  const self = { credentials, follow: kind % 2 === 0 };
  const value = new Uint8Array(Buffer.from(call.value, "hex"));
  switch (call.op) {
    case "chmod":
      tree.chmod(path, mode, { credentials });
      return shown(tree.stat(path));
    case "chown": {
      const [uid, gid] = [kind < 4 ? call.uid : undefined, kind % 4 < 2 ? call.gid : undefined];
      tree.chown(path, uid, gid, self);
      return shown(tree.locate(path, { follow: self.follow }).inode);
    }
    case "utime": {
      const time = kind < 4 ? "now" : { sec: 5, nsec: 6 };
      tree.utimes(path, { atime: time, mtime: time }, self);
      return "ok";
    }
    case "truncate":
      tree.truncate(path, size, { credentials });
      return shown(tree.stat(path));
    case "access":
      tree.access(path, kind, { credentials });
      return "ok";
    case "getxattr": {
      const found = tree.getxattr(path, name, self);
      return found === undefined ? "ENODATA" : Buffer.from(found).toString("hex");
    }
    case "listxattr":
      return tree.listxattr(path, self).toSorted().join(" ");
    case "setxattr":
      tree.setxattr(path, name, value, self);
      return shown(tree.locate(path, { follow: self.follow }).inode);
    default:
      tree.removexattr(path, name, self);
      return "ok";
  }
}

function withFile(tree: FileTree, call: TreeCall, body: (file: OpenFile) => string): string {
  const { path, flags, mode, who } = call;
  const { umask, ...credentials } = who;
  const has = (flag: string): boolean => flags.includes(flag);
  const access = (["read", "write", "readwrite"] as const).find(has) ?? "read";
  const options: OpenOptions = {
    access,
    mode,
    umask,
    credentials,
    create: has("create"),
    exclusive: has("exclusive"),
    truncate: has("truncate"),
    append: has("append"),
    directory: has("directory"),
    noFollow: has("noFollow"),
    unnamed: has("unnamed"),
    path: has("path"),
  };
  const file = tree.open(path, options);
  try {
    return body(file);
  } finally {
    file.close();
  }
}

/** What `stat` in the kernel's script shows. */
export function shown(inode: Inode): string {
  const { mode, nlink, uid, gid, size } = inode.attributes();
  const bytes = (mode & S_IFMT) === S_IFREG ? size : -1;
  return `${mode.toString(8)} ${nlink} ${uid} ${gid} ${bytes}`;
}
