"""Random calls on one file, each compared with a model of it in memory.

usage: file-model.py FILE OPERATIONS SEED [LARGEST]

Reads and writes, through mappings too (shared for writing, private for reading), changes of size,
every mode of fallocate, copies inside the file, appending, data and holes, syncing, opening again.
What the kernel does not offer on this mount (EOPNOTSUPP) is left out from then on, and named at the
end. Prints the last calls before a difference.
"""
import collections, ctypes, errno, mmap, os, random, sys

libc = ctypes.CDLL(None, use_errno=True)
KEEP_SIZE, PUNCH_HOLE, COLLAPSE, ZERO, INSERT, UNSHARE = 1, 2, 8, 16, 32, 64
PAGE = mmap.PAGESIZE
BLOCK = 4096
LOGGED = 30


class Model:
    def __init__(self, path, seed, largest):
        self.path, self.random, self.largest = path, random.Random(seed), largest
        self.bytes = bytearray()
        self.log = collections.deque(maxlen=LOGGED)
        self.left_out = set()
        self.stores_behind = self.random.randrange(2) == 1
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)

    def fail(self, what):
        lines = "\n".join(self.log)
        sys.exit(f"{what}\nthe last calls, size {len(self.bytes)} by the model:\n{lines}")

    def differ(self, what, offset, found, expected):
        first = next((i for i, (a, b) in enumerate(zip(found, expected)) if a != b), -1)
        shown = f"{found[first:first + 8].hex()} instead of {expected[first:first + 8].hex()}"
        lengths = f"{len(found)} bytes of {len(expected)}"
        self.fail(f"{what} at {offset}: {lengths}, the first difference at {offset + first}: {shown}")

    def some(self):
        """Where and how many bytes; often at the edge of a block."""
        start = self.random.randrange(self.largest)
        if self.random.randrange(3) == 0:
            start -= start % BLOCK
        length = self.random.choice([1, 100, BLOCK, 40_000, 1 << 17])
        length = 1 + self.random.randrange(length)
        return start, min(length, self.largest - start)

    def inside(self):
        start, length = self.some()
        size = len(self.bytes)
        start = min(start, size)
        return start, min(length, size - start)

    def grow(self, size):
        self.bytes.extend(bytes(max(0, size - len(self.bytes))))

    def put(self, start, data):
        self.grow(start + len(data))
        self.bytes[start : start + len(data)] = data

    def compare(self, what, start, found):
        expected = bytes(self.bytes[start : start + len(found)])
        if found != expected:
            self.differ(what, start, found, expected)

    # What may be done; the name is what is logged.
    def read(self):
        start, length = self.some()
        self.log.append(f"read {start} {length}")
        found = os.pread(self.fd, length, start)
        expected = bytes(self.bytes[start : start + length])
        if found != expected:
            self.differ("read", start, found, expected)

    def write(self):
        start, length = self.some()
        self.log.append(f"write {start} {length}")
        data = self.random.randbytes(length)
        written = os.pwrite(self.fd, data, start)
        if written != length:
            self.fail(f"write of {length} at {start} wrote {written}")
        self.put(start, data)

    def vector(self):
        start, length = self.some()
        self.log.append(f"writev {start} {length}")
        data = self.random.randbytes(length)
        cut = self.random.randrange(length + 1)
        os.pwritev(self.fd, [data[:cut], data[cut:]], start)
        self.put(start, data)

    def append(self):
        length = min(1 + self.random.randrange(5000), self.largest - len(self.bytes))
        self.log.append(f"append {length}")
        other = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        data = self.random.randbytes(max(0, length))
        os.write(other, data)
        os.close(other)
        self.put(len(self.bytes), data)

    def mapped(self, writable):
        start, length = self.inside()
        if length == 0:
            return
        base = start - start % PAGE
        self.log.append(f"map {'write' if writable else 'read'} {start} {length}")
        flags = mmap.MAP_SHARED if writable or self.random.randrange(2) else mmap.MAP_PRIVATE
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        with mmap.mmap(self.fd, start - base + length, flags, protection, offset=base) as view:
            if writable:
                data = self.random.randbytes(length)
                view[start - base :] = data
                self.put(start, data)
                if self.random.randrange(3) == 0:
                    view.flush()
            else:
                self.compare("mapped read", start, view[start - base : start - base + length])

    def map_read(self):
        self.mapped(False)

    def map_write(self):
        self.mapped(True)

    def map_tail(self):
        """The rest of the last page reads as zeros. Or stores go there, half of the seeds: nobody's,
        though the page keeps them, and the file has zeros when it grows."""
        size = len(self.bytes)
        if size == 0 or size % PAGE == 0:
            return
        base = size - size % PAGE
        self.log.append("map tail")
        with mmap.mmap(self.fd, size - base, mmap.MAP_SHARED, offset=base) as view:
            address = ctypes.addressof(ctypes.c_char.from_buffer(view))
            tail = ctypes.string_at(address + size - base, PAGE - (size - base))
            if not self.stores_behind and any(tail):
                self.fail(f"the page behind the end at {size} is not zero: {tail[:16].hex()} ...")
            if self.stores_behind:
                ctypes.memset(address + size - base, 0x5A, PAGE - (size - base))

    def truncate(self):
        size = self.random.randrange(self.largest)
        self.log.append(f"truncate {size}")
        if self.random.randrange(2):
            os.ftruncate(self.fd, size)
        else:
            os.truncate(self.path, size)
        del self.bytes[size:]
        self.grow(size)

    def fallocate(self, name, mode, start, length):
        self.log.append(f"{name} {start} {length}")
        wide = [ctypes.c_longlong(start), ctypes.c_longlong(length)]
        if libc.fallocate(self.fd, mode, *wide) == 0:
            return True
        code = ctypes.get_errno()
        if code != errno.EOPNOTSUPP:
            self.fail(f"{name} of {length} at {start}: {errno.errorcode[code]}")
        self.left_out.add(name)
        return False

    def allocate(self):
        start, length = self.some()
        if self.fallocate("allocate", 0, start, length):
            self.grow(start + length)

    def reserve(self):
        start, length = self.some()
        self.fallocate("reserve", KEEP_SIZE, start, length)

    def clear(self, start, length):
        length = max(0, min(length, len(self.bytes) - start))
        self.bytes[start : start + length] = bytes(length)

    def punch(self):
        start, length = self.some()
        if self.fallocate("punch", PUNCH_HOLE | KEEP_SIZE, start, length):
            self.clear(start, length)

    def zero(self):
        start, length = self.some()
        keep = self.random.randrange(2)
        if self.fallocate("zero", ZERO | (KEEP_SIZE if keep else 0), start, length):
            if not keep:
                self.grow(start + length)
            self.clear(start, length)

    def blocks(self):
        size = len(self.bytes) // BLOCK
        start = self.random.randrange(max(1, size))
        return start * BLOCK, (1 + self.random.randrange(8)) * BLOCK

    def collapse(self):
        start, length = self.blocks()
        if start + length < len(self.bytes):
            if self.fallocate("collapse", COLLAPSE, start, length):
                del self.bytes[start : start + length]

    def insert(self):
        start, length = self.blocks()
        if start < len(self.bytes) and len(self.bytes) + length <= self.largest:
            if self.fallocate("insert", INSERT, start, length):
                self.bytes[start:start] = bytes(length)

    def copy(self):
        """Inside the file; the ranges of copy_file_range may not overlap."""
        start, length = self.inside()
        target = self.random.randrange(self.largest)
        length = min(length, self.largest - target)
        if length <= 0 or abs(start - target) < length:
            return
        self.log.append(f"copy {start} {length} to {target}")
        done = 0
        while done < length:
            count = os.copy_file_range(self.fd, self.fd, length - done, start + done, target + done)
            if count == 0:
                self.fail(f"copy ended after {done} of {length}")
            done += count
        self.put(target, bytes(self.bytes[start : start + length]))

    def holes(self):
        """Every byte that is not zero lies in what is said to be data."""
        self.log.append("holes")
        at, size = 0, len(self.bytes)
        while at < size:
            try:
                data = os.lseek(self.fd, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                data = size
            if data < at or any(self.bytes[at:data]):
                self.fail(f"SEEK_DATA from {at} says {data}, and there is data before")
            if data >= size:
                return
            at = os.lseek(self.fd, data, os.SEEK_HOLE)
            if not data < at <= size:
                self.fail(f"SEEK_HOLE from {data} says {at}, the size is {size}")

    def sync(self):
        self.log.append("sync")
        self.random.choice([os.fsync, os.fdatasync])(self.fd)

    def reopen(self):
        self.log.append("reopen")
        os.close(self.fd)
        self.fd = os.open(self.path, os.O_RDWR)

    def drop(self):
        """Clean pages are forgotten, so that the next read asks the filesystem."""
        self.log.append("drop")
        os.fsync(self.fd)
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def size(self):
        found = [os.fstat(self.fd).st_size, os.stat(self.path).st_size]
        if found != [len(self.bytes)] * 2:
            self.fail(f"sizes {found}, not {len(self.bytes)}")

    def whole(self):
        self.log.append("whole")
        found = os.pread(self.fd, self.largest + 1, 0)
        if found != bytes(self.bytes):
            self.differ("the whole file", 0, found, bytes(self.bytes))


OFTEN = ["read", "write", "map_read", "map_write", "truncate"]
ALSO = ["vector", "append", "map_tail", "allocate", "reserve", "punch", "zero", "collapse"]
SELDOM = ["insert", "copy", "holes", "sync", "reopen", "drop", "whole"]


def main():
    path, operations, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    largest = int(sys.argv[4]) if len(sys.argv) > 4 else 1 << 20
    model = Model(path, seed, largest)
    names = OFTEN * 3 + ALSO + SELDOM
    for _ in range(operations):
        name = model.random.choice(names)
        if name in model.left_out:
            continue
        try:
            getattr(model, name)()
        except OSError as error:
            model.fail(f"{name}: {error}")
        model.size()
    model.whole()
    model.drop()
    model.whole()
    os.close(model.fd)
    print(" ".join(["left out:"] + sorted(model.left_out)) if model.left_out else "nothing left out")


main()
