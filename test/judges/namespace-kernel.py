"""Makes the calls of a stream (JSON on standard input) in a folder, and prints what each gave and
the tree that is there afterwards, as `linesOfOurs` words it. With `crash` the filesystem stops right
then: its journal is complete, nothing else is written, and what is open is open.

usage: namespace-kernel.py FOLDER
"""
import ctypes, errno, fcntl, json, os, stat, struct, sys

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
EXT4_IOC_SHUTDOWN = 0x8004587D
EXT4_GOING_FLAGS_LOGFLUSH = 1
AT_SYMLINK_FOLLOW = 0x400
FLAGS = {"": 0, "noreplace": 1, "exchange": 2}
slots = {}
HOW = {"any": 0, "create": os.XATTR_CREATE, "replace": os.XATTR_REPLACE}


def make(call):
    path, mode = call["path"], call["mode"]
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFREG:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode & 0o7777))
    elif kind == stat.S_IFDIR:
        os.mkdir(path, mode & 0o7777)
    elif kind == stat.S_IFLNK:
        os.symlink(call["target"], path)
    else:
        os.mknod(path, mode, call["rdev"] if kind == stat.S_IFCHR else 0)


def rename(call):
    old, new = os.fsencode(call["from"]), os.fsencode(call["to"])
    if libc.renameat2(AT_FDCWD, old, AT_FDCWD, new, FLAGS[call["how"]]) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def close(slot):
    fd = slots.pop(slot, None)
    if fd is None:
        return "none"
    links = os.fstat(fd).st_nlink
    os.close(fd)
    return str(links)


def hold(slot, fd):
    close(slot)
    slots[slot] = fd


def give_name(call):
    if call["slot"] not in slots:
        raise OSError(errno.ENOENT, "no such slot")
    old, new = f"/proc/self/fd/{slots[call['slot']]}".encode(), os.fsencode(call["to"])
    if libc.linkat(AT_FDCWD, old, AT_FDCWD, new, AT_SYMLINK_FOLLOW) != 0:
        raise OSError(ctypes.get_errno(), "linkat")


def nanoseconds(time):
    return time[0] * 10**9 + time[1]


def run(call):
    op, path = call["op"], call.get("path")
    if op == "make":
        make(call)
    elif op == "link":
        os.link(call["from"], call["to"], follow_symlinks=False)
    elif op == "rename":
        rename(call)
    elif op == "unlink":
        os.unlink(path)
    elif op == "rmdir":
        os.rmdir(path)
    elif op == "empty":
        os.truncate(path, 0)
    elif op == "chmod":
        os.chmod(path, call["mode"])
    elif op == "chown":
        os.lchown(path, call["uid"], call["gid"])
    elif op == "utimes":
        times = (nanoseconds(call["atime"]), nanoseconds(call["mtime"]))
        os.utime(path, ns=times, follow_symlinks=False)
    elif op == "setxattr":
        value = bytes([call["byte"]]) * call["length"]
        os.setxattr(path, call["name"], value, HOW[call["how"]], follow_symlinks=False)
    elif op == "removexattr":
        os.removexattr(path, call["name"], follow_symlinks=False)
    elif op == "hold":
        hold(call["slot"], os.open(path, os.O_PATH | os.O_NOFOLLOW))
    elif op == "unnamed":
        hold(call["slot"], os.open(path, os.O_TMPFILE | os.O_RDWR, call["mode"] & 0o7777))
    elif op == "name":
        give_name(call)
    elif op == "drop":
        return close(call["slot"])
    else:
        raise ValueError(op)
    return "ok"


def outcome(call):
    try:
        return run(call)
    except OSError as error:
        name = errno.errorcode.get(error.errno, str(error.errno))
        return "EOPNOTSUPP" if name == "ENOTSUP" else name


def line(path, given):
    found = os.lstat(path)
    seconds, fraction = divmod(found.st_mtime_ns, 10**9)
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return [
        path,
        found.st_mode,
        found.st_nlink,
        found.st_uid,
        found.st_gid,
        found.st_rdev,
        -1 if stat.S_ISDIR(found.st_mode) else found.st_size,
        [seconds, fraction] if seconds in given else [],
        os.readlink(path) if stat.S_ISLNK(found.st_mode) else "",
        [[name, os.getxattr(path, name, follow_symlinks=False).hex()] for name in names],
    ]


def tree(folder, given):
    for name in os.listdir(folder or "."):
        path = f"{folder}/{name}" if folder else name
        if path == "lost+found":
            continue
        yield line(path, given)
        if stat.S_ISDIR(os.lstat(path).st_mode):
            yield from tree(path, given)


job = json.load(sys.stdin)
os.umask(0)
os.chdir(sys.argv[1])
results = [outcome(call) for call in job["calls"]]
report = {"results": results, "tree": list(tree("", set(job["given"])))}
if job.get("crash"):
    here = os.open(".", os.O_RDONLY)
    fcntl.ioctl(here, EXT4_IOC_SHUTDOWN, struct.pack("I", EXT4_GOING_FLAGS_LOGFLUSH))
print(json.dumps(report))
