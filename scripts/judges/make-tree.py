"""Makes a tree with everything that a filesystem keeps; one seed makes one tree.

usage: make-tree.py FOLDER FILES SEED VALUE

VALUE is how long the value of an extended attribute may be.
"""
import os, random, socket, stat, subprocess, sys

# What every filesystem here can say: 32 bits of seconds, and nanoseconds.
FIRST, LAST = 1, 2**31 - 2
SIZES = [0, 1, 10, 59, 60, 61, 100, 160, 255, 1023, 1024, 1025, 4095, 4096, 4097, 70_000]


def times(path, coarse):
    second = random.randint(FIRST, LAST)
    nano = 0 if coarse else random.randrange(10**9)
    os.utime(path, ns=(second * 10**9, second * 10**9 + nano), follow_symlinks=False)


def name(number):
    kind = random.randrange(20)
    if kind == 0:
        return f"{number}-".encode() + b"n" * (255 - len(str(number)) - 1)
    if kind == 1:
        return f"{number} \\ \n'\"*".encode()
    if kind == 2:
        return str(number).encode() + bytes([0xFF, 0xC3, 0x28, 0x80])
    if kind == 3:
        return f"{number}-Größe-大きさ".encode()
    return f"file{number}".encode()


def regular(path):
    size = random.choice(SIZES) + random.randrange(3)
    with open(path, "wb") as file:
        file.write(random.randbytes(size))
        if random.randrange(8) == 0:
            hole = random.randrange(1, 40) * 65536
            file.seek(hole, os.SEEK_CUR)
            file.write(random.randbytes(random.randrange(10_000)))
            file.truncate(file.tell() + random.randrange(2) * 131072)


def special(path):
    kind = random.choice([stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
    major, minor = random.choice([(1, 3), (8, 17), (259, 300), (4095, 1048575)])
    device = os.makedev(major, minor) if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0
    os.mknod(path, kind | random.randrange(0o1000), device)


def attributes(path, link, most):
    kinds = ["trusted"] if link else ["user", "trusted"]
    for i in range(random.randrange(1, 4)):
        value = random.randbytes(random.choice([0, 1, 30, most // 3, most]))
        os.setxattr(path, f"{random.choice(kinds)}.name{i}", value, follow_symlinks=False)


def access_list(path, folder):
    entries = f"u:{random.randrange(1, 60000)}:rw,g:{random.randrange(1, 60000)}:x,m::rwx"
    subprocess.run([b"setfacl", b"-m", entries.encode(), b"--", path], check=True)
    if folder:
        subprocess.run([b"setfacl", b"-d", b"-m", entries.encode(), b"--", path], check=True)


def dress(path, kind, most):
    """Owner before mode: a change of owner takes setuid away."""
    os.chown(path, random.choice([0, 1, 1000, 65534, 4_000_000]), random.randrange(70_000),
             follow_symlinks=False)
    if kind != "link":
        os.chmod(path, random.choice([0o644, 0o600, 0o755, 0o4755, 0o2755, 0o1777, 0, 0o444]))
    if kind in ("file", "folder", "link") and random.randrange(4) == 0:
        attributes(path, kind == "link", most)
    # rsync itself loses rights of the group where a directory is sticky and has a list.
    sticky = kind == "folder" and os.lstat(path).st_mode & stat.S_ISVTX
    if kind in ("file", "folder") and not sticky and random.randrange(10) == 0:
        access_list(path, kind == "folder")


def make(number, folders, files, most):
    path = os.path.join(random.choice(folders), name(number))
    kind = random.randrange(12)
    if kind == 0 and files:
        os.link(random.choice(files), path, follow_symlinks=False)
        return
    if kind == 1:
        os.symlink(random.randbytes(random.choice([1, 59, 60, 200, 1000])).translate(READABLE), path)
        kind = "link"
    elif kind == 2:
        special(path)
        kind = "special"
    elif kind == 3:
        os.mkdir(path)
        folders.append(path)
        kind = "folder"
    else:
        regular(path)
        files.append(path)
        kind = "file"
    dress(path, kind, most)


READABLE = bytes(97 + i % 26 for i in range(256))


def main():
    top, count, seed = os.fsencode(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    most = int(sys.argv[4])
    random.seed(seed)
    folders, files = [top], []
    for number in range(count):
        make(number, folders, files, most)
    # Last, and the deepest first: making names changes the times of directories.
    for where, names, others in os.walk(top, topdown=False):
        for entry in others + names:
            times(os.path.join(where, entry), False)
    times(top, False)


main()
