"""Makes the calls of a stream (JSON on standard input) in a folder that becomes the root, each on
behalf of somebody, and prints what each gave and the tree that is there afterwards.

usage: tree-kernel.py FOLDER
"""
import ctypes, errno, json, os, stat, sys, encodings.idna

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_SYMLINK_FOLLOW = -100, 0x400
ACCESS = {"read": os.O_RDONLY, "write": os.O_WRONLY, "readwrite": os.O_RDWR}
FLAGS = {
    "create": os.O_CREAT,
    "exclusive": os.O_EXCL,
    "truncate": os.O_TRUNC,
    "append": os.O_APPEND,
    "directory": os.O_DIRECTORY,
    "noFollow": os.O_NOFOLLOW,
    "unnamed": os.O_TMPFILE,
    "path": os.O_PATH,
}


def become(who):
    os.setgroups(who["groups"])
    os.setegid(who["gid"])
    os.seteuid(who["uid"])
    os.umask(who["umask"])


def be_root():
    os.seteuid(0)
    os.setegid(0)
    os.setgroups([])
    os.umask(0)


def shown(found):
    size = found.st_size if stat.S_ISREG(found.st_mode) else -1
    return f"{found.st_mode:o} {found.st_nlink} {found.st_uid} {found.st_gid} {size}"


def check(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno(), what)


def with_file(call, body):
    flags = os.O_NONBLOCK
    for flag in call["flags"]:
        flags |= ACCESS.get(flag, 0) | FLAGS.get(flag, 0)
    fd = os.open(call["path"], flags, call["mode"])
    try:
        if not (flags & os.O_PATH) and stat.S_ISFIFO(os.fstat(fd).st_mode):
            return "special"
        return body(fd)
    finally:
        os.close(fd)


def written(fd, call):
    writes = "write" in call["flags"] or "readwrite" in call["flags"]
    count = os.write(fd, b"\x07" * call["size"]) if writes else -1
    return f"{count} {shown(os.fstat(fd))}"


def run(call):
    op, path, to, mode, kind = (call[key] for key in ("op", "path", "to", "mode", "kind"))
    follow = kind % 2 == 0
    if op == "open":
        return with_file(call, lambda fd: shown(os.fstat(fd)))
    if op == "write":
        return with_file(call, lambda fd: written(fd, call))
    if op == "mkdir":
        check(libc.mkdir(os.fsencode(path), mode), "mkdir")
        return lambda: shown(os.lstat(path))
    if op == "mknod":
        os.mknod(path, mode | [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG, 0][kind % 4])
        return lambda: shown(os.lstat(path))
    if op == "symlink":
        os.symlink(to, path)
        return lambda: shown(os.lstat(path))
    if op == "link":
        flags = AT_SYMLINK_FOLLOW if follow else 0
        old, new = os.fsencode(path), os.fsencode(to)
        check(libc.linkat(AT_FDCWD, old, AT_FDCWD, new, flags), "linkat")
    elif op == "unlink":
        os.unlink(path)
    elif op == "rmdir":
        os.rmdir(path)
    elif op == "rename":
        old, new = os.fsencode(path), os.fsencode(to)
        flags = {1: 1, 2: 2}.get(kind, 0)
        check(libc.renameat2(AT_FDCWD, old, AT_FDCWD, new, flags), "renameat2")
    elif op == "readdir":
        return " ".join(sorted(os.listdir(path)))
    elif op == "stat":
        return shown(os.stat(path))
    elif op == "lstat":
        return shown(os.lstat(path))
    elif op == "readlink":
        return os.readlink(path)
    elif op == "chmod":
        os.chmod(path, mode)
        return lambda: shown(os.stat(path))
    elif op == "chown":
        uid = call["uid"] if kind < 4 else -1
        gid = call["gid"] if kind % 4 < 2 else -1
        os.chown(path, uid, gid, follow_symlinks=follow)
        return lambda: shown(os.stat(path, follow_symlinks=follow))
    elif op == "utime":
        ns = None if kind < 4 else (5 * 10**9 + 6, 5 * 10**9 + 6)
        os.utime(path, ns=ns, follow_symlinks=follow) if ns else os.utime(
            path, follow_symlinks=follow
        )
    elif op == "truncate":
        os.truncate(path, call["size"])
        return lambda: shown(os.stat(path))
    elif op == "access":
        check(libc.faccessat(AT_FDCWD, os.fsencode(path), kind, 0x200), "faccessat")
    elif op == "getxattr":
        return os.getxattr(path, call["name"], follow_symlinks=follow).hex()
    elif op == "listxattr":
        return " ".join(sorted(os.listxattr(path, follow_symlinks=follow)))
    elif op == "setxattr":
        value = bytes.fromhex(call["value"])
        os.setxattr(path, call["name"], value, 0, follow_symlinks=follow)
        return lambda: shown(os.stat(path, follow_symlinks=follow))
    else:
        os.removexattr(path, call["name"], follow_symlinks=follow)
    return "ok"


def outcome(call):
    try:
        become(call["who"])
        result = run(call)
        be_root()
        return result() if callable(result) else result
    except OSError as error:
        name = errno.errorcode.get(error.errno, str(error.errno))
        if name == "ENXIO":
            return "special"
        return "EOPNOTSUPP" if name == "ENOTSUP" else name
    finally:
        be_root()


def tree(folder):
    for name in os.listdir(folder or "/"):
        path = f"{folder}/{name}"
        if path == "/lost+found":
            continue
        names = sorted(os.listxattr(path, follow_symlinks=False))
        values = [[name, os.getxattr(path, name, follow_symlinks=False).hex()] for name in names]
        yield [path, shown(os.lstat(path)), values]
        if stat.S_ISDIR(os.lstat(path).st_mode):
            yield from tree(path)


job = json.load(sys.stdin)
os.chroot(sys.argv[1])
os.chdir("/")
results = [outcome(call) for call in job["calls"]]
print(json.dumps({"results": results, "tree": list(tree(""))}))
