"""Prints a line for each entry under a folder: everything about it that a filesystem keeps.

usage: tree-lines.py FOLDER [--loose]

A line is: path, mode, links, the first path of its hard links, owner, group, size, device, mtime,
ctime, allocated 512-byte units, xattrs, target or digest of the contents (their length is the size). Access times are left out, since reading
changes them. --loose leaves out what a copy cannot have: ctime, allocation, sizes of directories.
"""
import errno, hashlib, os, stat, sys


PIECE = 1 << 20


def pieces(fd):
    """Where there may be anything but zeros, by what the filesystem says of its holes."""
    at = 0
    while True:
        try:
            data = os.lseek(fd, at, os.SEEK_DATA)
            stop = os.lseek(fd, data, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        at = max(at, data // PIECE * PIECE)
        while at < stop:
            yield at
            at += PIECE


def contents(path):
    """Files of terabytes have little in them: pieces of zeros count for nothing, hole or not."""
    digest = hashlib.sha256()
    fd = os.open(path, os.O_RDONLY)
    try:
        for at in pieces(fd):
            piece = os.pread(fd, PIECE, at)
            if any(piece):
                digest.update(at.to_bytes(8, "little") + piece)
    finally:
        os.close(fd)
    return digest.hexdigest()[:24]


def attributes(path):
    names = sorted(os.listxattr(path, follow_symlinks=False))
    values = ((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)
    return ",".join(f"{name}={value.hex()}" for name, value in values) or "-"


def line(path, shown, first, loose):
    found = os.lstat(path)
    kind = stat.S_IFMT(found.st_mode)
    link = first.setdefault(found.st_ino, shown) if kind != stat.S_IFDIR else b"-"
    size = "-" if loose and kind == stat.S_IFDIR else found.st_size
    fields = [f"{found.st_mode:o}", found.st_nlink, repr(link), found.st_uid, found.st_gid, size]
    fields += [found.st_rdev, found.st_mtime_ns]
    if not loose:
        fields += [found.st_ctime_ns, found.st_blocks]
    fields.append(attributes(path))
    if kind == stat.S_IFLNK:
        fields.append(repr(os.readlink(path)))
    elif kind == stat.S_IFREG:
        fields.append(contents(path))
    return " ".join([repr(shown)[2:-1]] + [str(field) for field in fields])


def main():
    loose = "--loose" in sys.argv[2:]
    top = os.fsencode(sys.argv[1])
    first, waiting = {}, [b"."]
    while waiting:
        shown = waiting.pop()
        path = os.path.join(top, shown)
        print(line(path, shown, first, loose))
        if stat.S_ISDIR(os.lstat(path).st_mode):
            names = sorted((n for n in os.listdir(path) if n != b"lost+found"), reverse=True)
            waiting += [os.path.join(shown, name) for name in names]


main()
