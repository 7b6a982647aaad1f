"""Leaves an ext image as a crash would: mounted, worked on, shut down without writing back.

usage: crash-mount.py IMAGE FOLDER MOUNT-OPTIONS ROUNDS SEED
"""
import fcntl, os, random, shutil, struct, subprocess, sys

EXT4_IOC_SHUTDOWN = 0x8004587D
EXT4_GOING_FLAGS_NOLOGFLUSH = 2

image, folder, options, rounds, seed = sys.argv[1:6]
rnd = random.Random(int(seed))


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


subprocess.run(["mount", "-o", f"loop,commit=600{options}", image, folder], check=True)
try:
    work()
    fd = os.open(folder, os.O_RDONLY)
    fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", EXT4_GOING_FLAGS_NOLOGFLUSH))
    os.close(fd)
finally:
    subprocess.run(["umount", folder], check=True)
