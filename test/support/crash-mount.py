"""Leaves an ext image as a crash would: mounted, worked on, shut down without writing back.

usage: crash-mount.py IMAGE FOLDER MOUNT-OPTIONS ROUNDS SEED

Seeds from 100 on have a second writer at work when it is shut down, wherever that is; of those,
every third shutdown writes the log's end first.
"""
import fcntl, os, random, shutil, signal, struct, subprocess, sys, time

EXT4_IOC_SHUTDOWN = 0x8004587D
EXT4_GOING_FLAGS_LOGFLUSH = 1
EXT4_GOING_FLAGS_NOLOGFLUSH = 2

image, folder, options, rounds, seed = sys.argv[1:6]
rnd = random.Random(int(seed))
busy = int(seed) >= 100


def put(path, data, sync):
    with open(path, "wb") as file:
        file.write(data)
        if sync:
            file.flush()
            os.fsync(file.fileno())


def sync_folder(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def work():
    live = []
    for number in range(int(rounds)):
        here = f"{folder}/d{number}"
        os.mkdir(here)
        for i in range(rnd.randrange(4, 30)):
            # Some data looks like a block of the journal, and has to be escaped with data=journal.
            start = b"\xc0\x3b\x39\x98" if i % 3 == 0 else b"data"
            name = "n" * rnd.randrange(1, 60)
            put(f"{here}/{name}-{i}", start + rnd.randbytes(rnd.randrange(0, 6000)), i % 7 == 0)
        sync_folder(here)
        live.append(here)
        if len(live) > 3:
            # What held names is freed and used for data: it has to be revoked.
            shutil.rmtree(live.pop(rnd.randrange(len(live))))
            put(f"{folder}/big{number % 4}", rnd.randbytes(rnd.randrange(9000, 200000)), True)
    os.mkdir(f"{folder}/unsynced")


def write_until_the_end():
    """Names come, move and go, some in open files, and are synced, until nothing works any more."""
    held = []
    number = 0
    os.mkdir(f"{folder}/busy")
    while True:
        number += 1
        path = f"{folder}/busy/{number % 40}"
        put(path, rnd.randbytes(rnd.randrange(0, 9000)), number % 5 == 0)
        os.setxattr(path, "user.n", rnd.randbytes(rnd.randrange(1, 60)))
        if number % 3 == 0:
            os.rename(path, f"{folder}/busy/moved{number % 20}")
        elif number % 7 == 0:
            held = held[-5:] + [os.open(path, os.O_RDWR)]
            os.unlink(path)
        elif number % 4 == 0:
            os.truncate(path, rnd.randrange(0, 4000))


def start_second():
    child = os.fork()
    if child != 0:
        return child
    try:
        write_until_the_end()
    except OSError:
        pass
    os._exit(0)


def shut_down(flags):
    fd = os.open(folder, os.O_RDONLY)
    fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", flags))
    os.close(fd)


subprocess.run(["mount", "-o", f"loop,commit=600{options}", image, folder], check=True)
second = start_second() if busy else 0
try:
    work()
    time.sleep(rnd.random() / 20 if busy else 0)
    flush = busy and int(seed) % 3 == 0
    shut_down(EXT4_GOING_FLAGS_LOGFLUSH if flush else EXT4_GOING_FLAGS_NOLOGFLUSH)
finally:
    if second != 0:
        os.kill(second, signal.SIGKILL)
        os.waitpid(second, 0)
    subprocess.run(["umount", folder], check=True)
