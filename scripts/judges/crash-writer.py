"""Changes files in a folder, syncs each change and then notes it elsewhere; or checks the notes.

usage: crash-writer.py write FOLDER LOG SEED | check FOLDER LOG

`write` goes on until a call fails. Before a change the log says which names it is about; after the
sync, what each of them is then. `check` fails unless all that is noted is there, except names that
the last change, which was not noted as synced, was about. Prints how many changes were synced.
"""
import hashlib, json, mmap, os, random, sys

NAMES = [f"name{i}" for i in range(12)]


def digest(path):
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return None
    return [len(data), hashlib.sha256(data).hexdigest()[:24]]


class Writer:
    def __init__(self, folder, log, seed):
        self.random = random.Random(seed)
        self.log = open(log, "w", buffering=1)
        # Paths start there from now on, also when another mount is at the same place.
        os.chdir(folder)
        self.directory = os.open(".", os.O_RDONLY)

    def data(self):
        return self.random.randbytes(self.random.choice([10, 1000, 5000, 100_000]))

    def change(self, kind, one, two):
        if kind == "create" or not os.path.exists(one):
            fd = os.open(one, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
            os.write(fd, self.data())
        elif kind == "rename":
            os.rename(one, two)
            os.fsync(self.directory)
            return
        elif kind == "unlink":
            os.unlink(one)
            os.fsync(self.directory)
            return
        else:
            fd = os.open(one, os.O_RDWR)
            self.contents(kind, fd)
        self.random.choice([os.fsync, os.fsync, os.fdatasync])(fd)
        os.close(fd)
        os.fsync(self.directory)

    def contents(self, kind, fd):
        size = os.fstat(fd).st_size
        if kind == "append":
            os.pwrite(fd, self.data(), size)
        elif kind == "overwrite":
            os.pwrite(fd, self.data(), self.random.randrange(size + 1))
        elif kind == "truncate":
            os.ftruncate(fd, self.random.randrange(2 * size + 1))
        elif kind == "map" and size > 0:
            with mmap.mmap(fd, size) as view:
                view[: size // 2] = self.random.randbytes(size // 2)
                view.flush()

    def run(self):
        kinds = ["create", "rename", "unlink", "append", "overwrite", "truncate", "map"]
        while True:
            names = self.random.sample(NAMES, 2)
            self.log.write(json.dumps({"about": names}) + "\n")
            self.change(self.random.choice(kinds), *names)
            found = {name: digest(name) for name in names}
            self.log.write(json.dumps({"synced": found}) + "\n")


def check(folder, log):
    expected, about, synced = {}, [], 0
    with open(log) as lines:
        for line in lines:
            note = json.loads(line)
            about = note.get("about", [])
            expected.update(note.get("synced", {}))
            synced += "synced" in note
    for name, state in expected.items():
        if name in about:
            continue
        found = digest(os.path.join(folder, name))
        if found != state:
            sys.exit(f"{folder}/{name}: {found}, but {state} was synced")
    if synced == 0:
        sys.exit(f"{folder}: nothing was synced before the crash")
    print(synced)


if sys.argv[1] == "check":
    check(sys.argv[2], sys.argv[3])
else:
    Writer(*sys.argv[2:5]).run()
