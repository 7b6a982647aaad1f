"""Makes the calls of a stream (JSON on standard input) in a folder, and prints what each gave and
the tree that is there afterwards, as `linesOfOurs` words it. With `crash` the filesystem stops right
then, and what is open is open: `committed` has its journal complete, `now` has not, and no tree.
With --ask each line is a call, and is answered by a line.

usage: namespace-kernel.py FOLDER [--ask]
"""
import ctypes, errno, fcntl, glob, json, os, stat, struct, sys, zlib

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
EXT4_IOC_SHUTDOWN = 0x8004587D
# EXT4_GOING_FLAGS_LOGFLUSH, EXT4_GOING_FLAGS_NOLOGFLUSH
GOING = {"committed": 1, "now": 2}
AT_SYMLINK_FOLLOW = 0x400
FLAGS = {"": 0, "noreplace": 1, "exchange": 2}
slots = {}
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_FIEMAP = 0x80086601, 0x40086602, 0xC020660B
FIEMAP_FLAG_SYNC, FIEMAP_LAST, FIEMAP_UNWRITTEN, FIEMAP_INLINE = 1, 1, 0x800, 0x200
PROTECTED = 0x30
MODES = {"allocate": 0, "punch": 2, "zero": 16, "collapse": 8, "insert": 32}
MOST_TURNS = 40
PIECE = 1024
PATTERN = bytes(i % 251 + 1 for i in range(2 * 251))
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


def contents_of(seed, length):
    return (PATTERN[seed : seed + 251] * (length // 251 + 1))[:length]


def failure(code):
    return OSError(code, os.strerror(code))


def place_of(at):
    """A path to open a file by, and what it is."""
    if not isinstance(at, int):
        return at, os.lstat(at)
    if at not in slots:
        raise failure(errno.ENOENT)
    return f"/proc/self/fd/{slots[at]}", os.fstat(slots[at])


def open_to_change(path, flags):
    """What is append-only has to be opened so."""
    try:
        return os.open(path, os.O_RDWR | flags)
    except PermissionError:
        return os.open(path, os.O_RDWR | os.O_APPEND)


def fallocate(fd, call):
    mode = MODES[call["mode"]] | (1 if call["keepSize"] else 0)
    offset, length = ctypes.c_int64(call["offset"]), ctypes.c_int64(call["length"])
    if libc.fallocate(fd, mode, offset, length) != 0:
        raise OSError(ctypes.get_errno(), "fallocate")
    return "ok"


def change(fd, call):
    op = call["op"]
    if op == "truncate":
        os.ftruncate(fd, call["size"])
        return "ok"
    if op == "fallocate":
        return fallocate(fd, call)
    source = contents_of(call["seed"], call["length"])
    return str(os.write(fd, source) if op == "append" else os.pwrite(fd, source, call["offset"]))


def turns(fd, offset):
    found = []
    try:
        while len(found) < MOST_TURNS:
            data = os.lseek(fd, offset, os.SEEK_DATA)
            offset = os.lseek(fd, data, os.SEEK_HOLE)
            found.append(f"{data}-{offset}")
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
    return " ".join(found)


def extents(fd):
    runs, start, last = [], 0, False
    while not last:
        request = bytearray(struct.pack("QQIIII", start, 2**63 - 1, FIEMAP_FLAG_SYNC, 0, 64, 0))
        request += bytes(64 * 56)
        fcntl.ioctl(fd, FS_IOC_FIEMAP, request)
        count = struct.unpack_from("I", request, 20)[0]
        last = count == 0
        for i in range(count):
            logical, _, length, _, _, flags = struct.unpack_from("QQQQQI", request, 32 + i * 56)
            if flags & FIEMAP_INLINE:
                return "inline"
            kind = "u" if flags & FIEMAP_UNWRITTEN else ""
            if runs and runs[-1][1:] == [logical, kind]:
                runs[-1][1] += length
            else:
                runs.append([logical, logical + length, kind])
            start, last = logical + length, bool(flags & FIEMAP_LAST)
    return " ".join(f"{a}-{b}{kind}" for a, b, kind in runs)


def inspect(fd, call):
    op = call["op"]
    if op == "read":
        got = os.pread(fd, call["length"], call["offset"])
        return f"{len(got)} {zlib.crc32(got)}"
    os.fsync(fd)
    if op == "sync":
        return "ok"
    if op == "extents":
        return extents(fd)
    # What the cache holds of unwritten blocks counts as data.
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return turns(fd, call["offset"])


def protect(path, flags):
    fd = os.open(path, os.O_RDONLY)
    try:
        old = struct.unpack("i", fcntl.ioctl(fd, FS_IOC_GETFLAGS, bytes(4)))[0]
        fcntl.ioctl(fd, FS_IOC_SETFLAGS, struct.pack("i", old & ~PROTECTED | flags))
    finally:
        os.close(fd)
    return "ok"


def run_on_contents(call):
    op = call["op"]
    path, found = place_of(call["at"])
    if stat.S_ISLNK(found.st_mode):
        raise failure(errno.ELOOP)
    if op == "protect" and (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        return protect(path, call["flags"])
    if stat.S_ISDIR(found.st_mode):
        raise failure(errno.EISDIR)
    if not stat.S_ISREG(found.st_mode):
        return "special"
    if op in ("read", "seek", "extents", "sync"):
        fd = os.open(path, os.O_RDONLY)
        try:
            return inspect(fd, call)
        finally:
            os.close(fd)
    fd = open_to_change(path, os.O_APPEND if op == "append" else 0)
    try:
        return change(fd, call)
    finally:
        os.close(fd)


def run(call):
    op, path = call["op"], call.get("path")
    if "at" in call:
        return run_on_contents(call)
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


def sum_of_contents(path):
    """As `sumOfContents` makes it."""
    total, at = 0, 0
    fd = os.open(path, os.O_RDONLY)
    try:
        # Where blocks are allocated late, lseek does not see data in files with block maps.
        if os.fstat(fd).st_size > 0:
            os.fsync(fd)
        while True:
            at = max(at, os.lseek(fd, at, os.SEEK_DATA) // PIECE * PIECE)
            chunk = os.pread(fd, 1 << 20, at)
            if not chunk:
                return total
            for i in range(0, len(chunk), PIECE):
                piece = chunk[i : i + PIECE]
                if piece.count(0) < len(piece):
                    total = zlib.crc32(piece, zlib.crc32(struct.pack(">Q", at + i), total))
            at += -(-len(chunk) // PIECE) * PIECE
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return total
    finally:
        os.close(fd)


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
        sum_of_contents(path) if stat.S_ISREG(found.st_mode) else 0,
    ]


def tree(folder, given):
    for name in os.listdir(folder or "."):
        path = f"{folder}/{name}" if folder else name
        if path == "lost+found":
            continue
        yield line(path, given)
        if stat.S_ISDIR(os.lstat(path).st_mode):
            yield from tree(path, given)


def split_always():
    """Unwritten extents are split, not filled with zeros, however short they are."""
    device = os.stat(".").st_dev
    block = f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"
    name = os.path.basename(os.path.realpath(block))
    for path in glob.glob(f"/sys/fs/ext4/{name}/extent_max_zeroout_kb"):
        with open(path, "w") as file:
            file.write("0")


def answer_each():
    """One call a line, one answer a line."""
    for text in sys.stdin:
        print(outcome(json.loads(text)), flush=True)


def make_all():
    job = json.load(sys.stdin)
    results = [outcome(call) for call in job["calls"]]
    # To list the tree makes contents durable; a crash should find some that are not.
    listed = [] if job.get("crash") == "now" else tree("", set(job["given"]))
    report = {"results": results, "tree": list(listed)}
    if job.get("crash"):
        here = os.open(".", os.O_RDONLY)
        fcntl.ioctl(here, EXT4_IOC_SHUTDOWN, struct.pack("I", GOING[job["crash"]]))
    print(json.dumps(report))


os.umask(0)
os.chdir(sys.argv[1])
split_always()
if sys.argv[2:] == ["--ask"]:
    answer_each()
else:
    make_all()
