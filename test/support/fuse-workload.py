"""What a recorded kernel is made to do: every call that reaches a FUSE server, in a directory.

Usage: fuse-workload.py DIRECTORY. Errors are part of it; nothing is judged here.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import socket
import stat
import struct
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
SYS_RENAMEAT2 = 316
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR = 0x801C581F, 0x401C5820


def attempt(call, *args, **kwargs):
    """Runs a call that may fail."""
    try:
        return call(*args, **kwargs)
    except OSError as error:
        assert error.errno not in (errno.EIO, errno.ESTALE, errno.ENOTCONN), error
        return None


def renameat2(old, new, flags):
    done = libc.syscall(SYS_RENAMEAT2, AT_FDCWD, old.encode(), AT_FDCWD, new.encode(), flags)
    if done != 0:
        raise OSError(ctypes.get_errno(), old)


def linkat(fd, name):
    if libc.linkat(fd, b"", AT_FDCWD, name.encode(), AT_EMPTY_PATH) != 0:
        raise OSError(ctypes.get_errno(), name)


def fallocate(fd, mode, offset, length):
    call = libc.fallocate
    call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    if call(fd, mode, offset, length) != 0:
        raise OSError(ctypes.get_errno(), "fallocate")


def write(path, text, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode=0o644):
    fd = os.open(path, flags, mode)
    os.write(fd, text)
    os.close(fd)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def names():
    os.mkdir("d", 0o750)
    os.mkdir("d/e")
    write("a", b"one")
    write("b", b"two")
    os.link("a", "d/hard")
    os.symlink("../a", "d/soft")
    assert os.readlink("d/soft") == "../a" and read("d/soft") == b"one"
    os.rename("b", "d/b")
    renameat2("a", "d/b", RENAME_EXCHANGE)
    attempt(renameat2, "a", "d/b", RENAME_NOREPLACE)
    attempt(renameat2, "a", "white", RENAME_WHITEOUT)
    os.rename("d/b", "d/e/c")
    attempt(os.rename, "d", "d/e/inside")
    attempt(os.rmdir, "d")
    attempt(os.unlink, "d")
    attempt(os.mkdir, "n" * 256)
    os.mkdir("n" * 255)
    os.rmdir("n" * 255)
    write(b"\xff\xfe\x80", b"no utf-8")
    os.mkfifo("fifo", 0o600)
    os.mknod("null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket")
    server.close()
    assert os.stat("null").st_rdev == os.makedev(1, 3)
    with open("null", "wb") as null:
        null.write(b"gone")


def listings():
    os.mkdir("many")
    for i in range(300):
        write(f"many/file-{i:03}-{'x' * (i % 60)}", b"")
    assert len(os.listdir("many")) == 300
    assert len([entry.stat() for entry in os.scandir("many")]) == 300
    os.sync()
    subprocess.run(["ls", "-laR", "."], stdout=subprocess.DEVNULL, check=True)
    fd = os.open("many", os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)
    for name in os.listdir("many")[:250]:
        os.unlink(f"many/{name}")
    assert len(os.listdir("many")) == 50


def contents():
    fd = os.open("c", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o4755)
    os.write(fd, bytes(range(256)) * 40)
    os.pwrite(fd, b"sparse", 300_000)
    assert os.pread(fd, 6, 300_000) == b"sparse"
    assert os.lseek(fd, 20_000, os.SEEK_DATA) >= 290_000
    os.lseek(fd, 0, os.SEEK_HOLE)
    attempt(os.lseek, fd, 400_000, os.SEEK_DATA)
    os.ftruncate(fd, 100_000)
    os.truncate("c", 120_000)
    fallocate(fd, 0, 0, 200_000)
    fallocate(fd, 1, 200_000, 100_000)
    fallocate(fd, 3, 4096, 8192)
    fallocate(fd, 16, 16_384, 100)
    attempt(fallocate, fd, 8, 0, 4096)
    attempt(os.ftruncate, fd, 2**62)
    os.fsync(fd)
    os.fdatasync(fd)
    other = os.open("copy", os.O_RDWR | os.O_CREAT, 0o600)
    os.copy_file_range(fd, other, 150_000, 0, 100)
    os.copy_file_range(fd, other, 100, 0, 200_000)
    os.sendfile(other, fd, 0, 1000)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    assert len(os.pread(fd, 200_000, 0)) == 200_000
    os.close(other)
    os.close(fd)
    write("c", b"appended", os.O_WRONLY | os.O_APPEND)
    write("c", b"cut", os.O_WRONLY | os.O_TRUNC)
    write("sync", b"durable", os.O_WRONLY | os.O_CREAT | os.O_SYNC)
    write("dsync", b"durable", os.O_WRONLY | os.O_CREAT | os.O_DSYNC)
    direct = os.open("direct", os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600)
    page = mmap.mmap(-1, 8192)
    page[:] = b"D" * 8192
    os.writev(direct, [page])
    os.preadv(direct, [page], 4096)
    os.close(direct)


def mapped():
    fd = os.open("m", os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(fd, 50_000)
    shared = mmap.mmap(fd, 50_000)
    shared[:5] = b"hello"
    shared[45_000:45_005] = b"world"
    shared.flush()
    private = mmap.mmap(fd, 50_000, flags=mmap.MAP_PRIVATE)
    private[0:1] = b"J"
    assert os.pread(fd, 5, 0) == b"hello"
    shared.close()
    private.close()
    os.close(fd)


def nameless():
    fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
    os.write(fd, b"found later")
    linkat(fd, "linked")
    os.close(fd)
    lost = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
    os.write(lost, b"never found")
    attempt(linkat, lost, "never")
    os.close(lost)
    gone = os.open("gone", os.O_RDWR | os.O_CREAT)
    os.unlink("gone")
    os.write(gone, b"still here")
    os.fchmod(gone, 0o600)
    assert os.fstat(gone).st_nlink == 0 and os.pread(gone, 10, 0) == b"still here"
    os.close(gone)


def attributes():
    write("attr", b"x")
    os.chmod("attr", 0o6755)
    os.chown("attr", 1000, 1000)
    assert os.stat("attr").st_mode & 0o7777 == 0o755
    os.chmod("attr", 0o6755)
    attempt(os.chown, "attr", -1, -1)
    os.lchown("d/soft", 1000, -1)
    os.utime("attr", ns=(-1_500_000_000, 1_234_567_890_123_456_789))
    os.utime("attr")
    os.utime("d/soft", (1, 2), follow_symlinks=False)
    subprocess.run(["stat", "--format=%W %n", "attr"], stdout=subprocess.DEVNULL, check=True)
    os.statvfs(".")
    for name, value in [("user.a", b"1"), ("user.b", b"2" * 3000), ("trusted.c", b"")]:
        os.setxattr("attr", name, value)
    attempt(os.setxattr, "attr", "user.a", b"", os.XATTR_CREATE)
    attempt(os.setxattr, "attr", "user.none", b"", os.XATTR_REPLACE)
    assert os.getxattr("attr", "user.b") == b"2" * 3000
    assert "trusted.c" in os.listxattr("attr")
    os.removexattr("attr", "user.b")
    attempt(os.getxattr, "attr", "user.b")


def acl(*entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def lists():
    none = 0xFFFFFFFF
    wanted = acl((1, 7, none), (2, 5, 1000), (4, 5, none), (16, 7, none), (32, 0, none))
    os.setxattr("attr", "system.posix_acl_access", wanted)
    assert os.getxattr("attr", "system.posix_acl_access") == wanted
    os.mkdir("lists", 0o777)
    os.setxattr("lists", "system.posix_acl_default", wanted)
    write("lists/inside", b"", mode=0o666)
    os.mkdir("lists/below")
    os.getxattr("lists/inside", "system.posix_acl_access")
    os.removexattr("attr", "system.posix_acl_access")


def flags():
    fd = os.open("attr", os.O_RDONLY)
    word = bytearray(8)
    fcntl.ioctl(fd, FS_IOC_GETFLAGS, word)
    before = struct.unpack("<I", word[:4])[0]
    for flag in (0x10, 0x20, 0x40, 0):
        fcntl.ioctl(fd, FS_IOC_SETFLAGS, struct.pack("<Q", before | flag))
        attempt(write, "attr", b"no", os.O_WRONLY)
    fsx = bytearray(28)
    fcntl.ioctl(fd, FS_IOC_FSGETXATTR, fsx)
    attempt(fcntl.ioctl, fd, FS_IOC_FSSETXATTR, bytes(fsx))
    attempt(fcntl.ioctl, fd, 0x5401, bytearray(64))
    fcntl.flock(fd, fcntl.LOCK_EX)
    fcntl.lockf(os.dup(os.open("attr", os.O_RDWR)), fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)


def strangers():
    """As somebody else: what the kernel refuses by itself, and what takes setuid away."""
    os.chmod(".", 0o777)
    write("suid", b"x")
    os.chmod("suid", 0o6777)
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(1000)
        os.setuid(1000)
        write("suid", b"changed", os.O_WRONLY)
        write("mine", b"", mode=0o6755)
        attempt(os.chown, "mine", -1, -1)
        attempt(os.truncate, "suid", 3)
        attempt(write, "suid", b"", os.O_WRONLY | os.O_TRUNC)
        attempt(write, "sync", b"refused")
        attempt(os.chmod, "attr", 0o777)
        attempt(os.listdir, "d")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.stat("suid").st_mode & 0o7777 == 0o777


def programs():
    run = lambda line: subprocess.run(["sh", "-c", line], check=True, stdout=subprocess.DEVNULL)
    run("cp -a d copied && mv copied moved && tar cf - moved | tar xf - -C lists")
    run("for i in 1 2 3; do echo $i >> log; done; cat log; wc -c log; sort -o log log")
    run("dd if=/dev/zero of=big bs=128k count=4 conv=fsync 2>/dev/null; dd if=big of=/dev/null bs=1M 2>/dev/null")
    run("rm -r moved lists/moved many big; sync -f .; df . ; find . -xdev | wc -l")


os.chdir(sys.argv[1])
os.umask(0o022)
for part in (names, listings, contents, mapped, nameless, attributes, lists, flags, strangers, programs):
    part()
