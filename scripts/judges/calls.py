"""Random system calls on a tree of few names, by several users; prints what each call gave.

usage: calls.py FOLDER CALLS SEED [PROCESSES]

The folder becomes the root, so nothing leaves it. The same calls on another filesystem must print
the same: what a call gave is a value or the name of an error, and what a file is without what
depends on the moment (times are `now` unless they were set). With PROCESSES the calls run in
several processes at once, without output: then only the filesystem itself tells whether it went well.
"""
import ctypes, encodings.idna, errno, fcntl, os, random, stat, struct, sys

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_EMPTY_PATH, AT_SYMLINK_FOLLOW = -100, 0x1000, 0x400
NOREPLACE, EXCHANGE = 1, 2
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
# FS_NODUMP_FL, FS_NOATIME_FL. Not those that forbid: of two errors FUSE gives the other one, since
# the kernel looks for what it knows itself before it asks.
FLAGS = [0, 0x40, 0x80]
SHOWN_FLAGS = 0xC0
OLDEST, NEWEST = 1, 10**9
USERS = [(0, 0, []), (1000, 1000, [2000]), (1001, 1001, [1000]), (65534, 65534, [])]
LONG = b"n" * 255
NAMES = [b"a", b"b", b"c", b"d", b"link", LONG]
ODD = [b"n" * 256, b"\xff\xfe \n", b".", b"..", b"", b"a/", b"/", b"x" * 4096, b"a//b", b"none/x"]
MODES = [0, 0o400, 0o600, 0o644, 0o666, 0o700, 0o755, 0o777, 0o1777, 0o2775, 0o4755, 0o6777]
MAXIMUM = 2**63 - 1


class Calls:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.held = []
        self.umask = 0o022

    def path(self):
        r = self.random
        if r.randrange(25) == 0:
            return r.choice(ODD)
        depth = r.choice([1, 1, 1, 2, 2, 3])
        names = [r.choice(NAMES) for _ in range(depth)]
        if r.randrange(30) == 0:
            names.insert(r.randrange(len(names) + 1), b"..")
        return b"/".join(names) + (b"/" if r.randrange(40) == 0 else b"")

    def mode(self):
        return self.random.choice(MODES)

    # Each gives what is to be printed, or raises.
    def make(self):
        path, mode = self.path(), self.mode()
        choice = [os.O_RDONLY, os.O_WRONLY, os.O_RDWR]
        flags = self.random.choice(choice) | os.O_CREAT | os.O_NONBLOCK
        extra = [0, os.O_EXCL, os.O_TRUNC, os.O_APPEND, os.O_NOFOLLOW, os.O_DIRECTORY]
        flags |= self.random.choice(extra)
        yield f"open {path} {flags:o} {mode:o}"
        self.use(os.open(path, flags, mode))

    def open(self):
        path = self.path()
        choice = [os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_PATH]
        flags = self.random.choice(choice) | os.O_NONBLOCK
        extra = [0, 0, os.O_TRUNC, os.O_APPEND, os.O_NOFOLLOW, os.O_DIRECTORY, os.O_NOATIME]
        flags |= self.random.choice(extra)
        yield f"open {path} {flags:o}"
        self.use(os.open(path, flags))

    def use(self, fd):
        """Keeps some open, whatever happens to their names."""
        if stat.S_ISREG(os.fstat(fd).st_mode) and self.random.randrange(2) == 0:
            self.held.append(fd)
            if len(self.held) > 6:
                os.close(self.held.pop(0))
        else:
            os.close(fd)

    def unnamed(self):
        path, mode, target = self.path(), self.mode(), self.path()
        flags = os.O_TMPFILE | os.O_RDWR | self.random.choice([0, os.O_EXCL])
        yield f"tmpfile {path} {flags:o} {mode:o} to {target}"
        fd = os.open(path, flags, mode)
        try:
            os.write(fd, b"unnamed")
            links = os.fstat(fd).st_nlink
            check(libc.linkat(fd, b"", AT_FDCWD, target, AT_EMPTY_PATH))
            yield links, os.fstat(fd).st_nlink
        finally:
            os.close(fd)

    def fd(self):
        if not self.held:
            raise OSError(errno.EBADF, "none held")
        return self.random.choice(self.held)

    def write(self):
        offset, length = self.random.randrange(20_000), self.random.randrange(9000)
        yield f"pwrite {offset} {length}"
        yield os.pwrite(self.fd(), bytes([self.random.randrange(256)]) * length, offset)

    def far(self):
        offset = self.random.choice([MAXIMUM, 2**44, 2**44 - 4096, 2**43])
        yield f"pwrite far {offset}"
        fd = self.fd()
        before = os.fstat(fd).st_size
        try:
            yield os.pwrite(fd, b"far", offset)
        finally:
            os.ftruncate(fd, before)

    def read(self):
        offset, length = self.random.randrange(20_000), self.random.randrange(9000)
        yield f"pread {offset} {length}"
        yield hash_of(os.pread(self.fd(), length, offset))

    def fstat(self):
        yield "fstat"
        yield shown(os.fstat(self.fd()))

    def ftruncate(self):
        size = self.random.randrange(30_000)
        yield f"ftruncate {size}"
        yield os.ftruncate(self.fd(), size)

    def allocate(self):
        mode = self.random.choice([0, 1, 3, 16, 17, 2, 64])
        start, length = self.random.randrange(20_000), self.random.randrange(20_000)
        yield f"fallocate {mode} {start} {length}"
        wide = [ctypes.c_longlong(start), ctypes.c_longlong(length)]
        yield check(libc.fallocate(self.fd(), mode, *wide))

    def copy(self):
        start, length = self.random.randrange(9000), self.random.randrange(9000)
        yield f"copy_file_range {start} {length}"
        yield os.copy_file_range(self.fd(), self.fd(), length, start, start + 10_000)

    def lock(self):
        how = self.random.choice([fcntl.LOCK_SH, fcntl.LOCK_EX, fcntl.LOCK_UN]) | fcntl.LOCK_NB
        yield f"flock {how}"
        yield fcntl.flock(self.fd(), how)

    def mkdir(self):
        path, mode = self.path(), self.mode()
        yield f"mkdir {path} {mode:o}"
        yield os.mkdir(path, mode)

    def rmdir(self):
        path = self.path()
        yield f"rmdir {path}"
        yield os.rmdir(path)

    def unlink(self):
        path = self.path()
        yield f"unlink {path}"
        yield os.unlink(path)

    def mknod(self):
        kinds = [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFREG]
        kind = self.random.choice(kinds + [stat.S_IFDIR])
        path, mode = self.path(), self.mode()
        yield f"mknod {path} {kind | mode:o}"
        yield os.mknod(path, kind | mode, os.makedev(4, 7))

    def link(self):
        path, target = self.path(), self.path()
        follow = self.random.choice([0, 0, AT_SYMLINK_FOLLOW])
        yield f"linkat {path} {target} {follow}"
        yield check(libc.linkat(AT_FDCWD, path, AT_FDCWD, target, follow))

    def symlink(self):
        path = self.path()
        target = self.path() if self.random.randrange(3) else b"y" * self.random.randrange(1, 4200)
        yield f"symlink {target} {path}"
        yield os.symlink(target, path)

    def rename(self):
        path, target = self.path(), self.path()
        how = self.random.choice([0, 0, 0, NOREPLACE, EXCHANGE])
        yield f"rename {path} {target} {how}"
        yield check(libc.renameat2(AT_FDCWD, path, AT_FDCWD, target, how))

    def chmod(self):
        path, mode = self.path(), self.mode()
        yield f"chmod {path} {mode:o}"
        yield os.chmod(path, mode)

    def chown(self):
        path, who = self.path(), self.random.choice([-1, 0, 1000, 1001, 2000])
        group, follow = self.random.choice([-1, 0, 1000, 2000]), self.random.randrange(2) == 0
        yield f"chown {path} {who} {group} {follow}"
        yield os.chown(path, who, group, follow_symlinks=follow)

    def utime(self):
        path, follow = self.path(), self.random.randrange(2) == 0
        second = self.random.randrange(OLDEST, NEWEST)
        times = (second * 10**9 + 1, second * 10**9 + 987654321)
        now = self.random.randrange(4) == 0
        yield f"utime {path} {second} {now} {follow}"
        if now:
            yield os.utime(path, None, follow_symlinks=follow)
        else:
            yield os.utime(path, ns=times, follow_symlinks=follow)

    def truncate(self):
        path, size = self.path(), self.random.choice([0, 1, 100, 5000, 200_000, MAXIMUM])
        yield f"truncate {path} {size}"
        yield os.truncate(path, size)

    def stat(self):
        path = self.path()
        yield f"stat {path}"
        yield shown(os.stat(path))

    def lstat(self):
        path = self.path()
        yield f"lstat {path}"
        yield shown(os.lstat(path))

    def readlink(self):
        path = self.path()
        yield f"readlink {path}"
        yield hash_of(os.readlink(path))

    def listdir(self):
        path = self.path()
        yield f"listdir {path}"
        yield hash_of(b"/".join(sorted(os.listdir(path))))

    def access(self):
        path, how = self.path(), self.random.randrange(8)
        yield f"access {path} {how}"
        yield check(libc.faccessat(AT_FDCWD, path, how, 0x200))

    def attribute(self):
        names = ["user.a", "user.b", "trusted.a", "security.a", "system.a", "a", "user."]
        return self.random.choice(names + ["user." + "n" * 250, "user." + "n" * 251])

    def setxattr(self):
        path, name = self.path(), self.attribute()
        length = self.random.choice([0, 1, 50, 500, 3000, 70_000])
        how = self.random.choice([0, 0, os.XATTR_CREATE, os.XATTR_REPLACE])
        follow = self.random.randrange(2) == 0
        yield f"setxattr {path} {name} {length} {how} {follow}"
        yield os.setxattr(path, name, b"v" * length, how, follow_symlinks=follow)

    def getxattr(self):
        path, name = self.path(), self.attribute()
        yield f"getxattr {path} {name}"
        yield hash_of(os.getxattr(path, name))

    def removexattr(self):
        path, name = self.path(), self.attribute()
        yield f"removexattr {path} {name}"
        yield os.removexattr(path, name)

    def listxattr(self):
        path = self.path()
        yield f"listxattr {path}"
        yield ",".join(sorted(os.listxattr(path)))

    def acl(self):
        path, name = self.path(), self.random.choice(["access", "access", "default"])
        who, bits = self.random.choice([1000, 1001]), self.random.randrange(8)
        entries = [(1, 6, -1), (2, bits, who), (4, 4, -1), (16, self.random.randrange(8), -1)]
        entries.append((32, self.random.randrange(8), -1))
        if self.random.randrange(8) == 0:
            entries.pop()
        yield f"acl {path} {name} {entries}"
        value = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *e) for e in entries)
        yield os.setxattr(path, f"system.posix_acl_{name}", value)

    def getacl(self):
        path, name = self.path(), self.random.choice(["access", "default"])
        yield f"getacl {path} {name}"
        yield os.getxattr(path, f"system.posix_acl_{name}").hex()

    def flags(self):
        path, flags = self.path(), self.random.choice(FLAGS)
        yield f"flags {path} {flags:x}"
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode) and not stat.S_ISDIR(os.fstat(fd).st_mode):
                return
            held = bytearray(8)
            fcntl.ioctl(fd, FS_IOC_GETFLAGS, held)
            before = struct.unpack_from("<I", held)[0]
            asked = struct.pack("<Q", before & ~SHOWN_FLAGS | flags)
            fcntl.ioctl(fd, FS_IOC_SETFLAGS, asked)
            yield f"{before & SHOWN_FLAGS:x}"
        finally:
            os.close(fd)


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def hash_of(data):
    return f"{len(data)}:{sum(data)}"


def shown(found):
    mtime = found.st_mtime_ns if found.st_mtime < NEWEST + 1 else "now"
    size = found.st_size if not stat.S_ISDIR(found.st_mode) else "-"
    mode = found.st_mode
    # Setgid without execution by the group goes when somebody outside the group writes. Over FUSE it
    # stays (FUSE_HANDLE_KILLPRIV_V2), since a request does not tell of whom groups are.
    if stat.S_ISREG(mode) and not mode & stat.S_IXGRP:
        mode &= ~stat.S_ISGID
    fields = [f"{mode:o}", found.st_nlink, found.st_uid, found.st_gid, size]
    return " ".join(str(field) for field in [*fields, found.st_rdev, mtime])


OFTEN = ["make", "mkdir", "link", "symlink", "rename", "unlink", "stat", "open", "write"]
SELDOM = ["flags", "far"]
OTHERS = [
    name for name in vars(Calls)
    if not name.startswith("_") and name not in {*OFTEN, *SELDOM, "path", "mode", "use", "fd"}
    and name not in {"attribute"}
]


def become(user, umask):
    uid, gid, groups = user
    os.seteuid(0)
    os.setegid(0)
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)
    os.umask(umask)


def told(calls, name):
    said = []
    steps = getattr(calls, name)()
    try:
        for part in steps:
            said.append(str(part))
    except OSError as error:
        said.append(errno.errorcode.get(error.errno, str(error.errno)))
    return said


def run(count, seed, quiet):
    calls = Calls(seed)
    names = OFTEN * 3 + OTHERS * 2 + SELDOM
    for number in range(count):
        user = calls.random.choice(USERS[:1] * 2 + USERS)
        umask = calls.random.choice([0, 0o022, 0o077])
        become(user, umask)
        said = told(calls, calls.random.choice(names))
        if not quiet:
            head, *rest = said
            print(f"{number} as {user[0]} {umask:o}: {shorten(head)} = {' '.join(rest) or 'done'}")
    become(USERS[0], 0)
    for fd in calls.held:
        os.close(fd)


def shorten(text):
    text = text.replace(LONG.decode(), "LONG")
    return text if len(text) < 300 else f"{text[:120]}...{len(text)}"


def main():
    folder, count, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    os.chroot(folder)
    os.chdir("/")
    os.chmod("/", 0o777)
    if len(sys.argv) <= 4:
        run(count, seed, False)
        return
    children = []
    for process in range(int(sys.argv[4])):
        child = os.fork()
        if child == 0:
            run(count, f"{seed} {process}", True)
            os._exit(0)
        children.append(child)
    if any(os.waitpid(child, 0)[1] != 0 for child in children):
        sys.exit("a process failed")


main()
