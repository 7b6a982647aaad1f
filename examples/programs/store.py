"""A store in one file of JSON lines, in Python; each line is promised when it is written.

    daxkit prove --mount-fuse DIR --check 'python3 store.py check' -- python3 store.py HOW

HOW: plain (closed only); synced (fsync of the file); whole (and of its directory, once).
"""
import json
import os
import sys

FOLDER = os.environ["DAXKIT_MOUNT"]
PATH = os.path.join(FOLDER, "store")


def run(how):
    for number in range(1, 4):
        with open(PATH, "a") as store:
            store.write(json.dumps({"number": number, "words": "x" * 1500}) + "\n")
            store.flush()
            if how != "plain":
                os.fsync(store.fileno())
        if how == "whole" and number == 1:
            folder = os.open(FOLDER, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        print("ack", number)


def check():
    promised = [int(line) for line in sys.stdin]
    found = []
    if os.path.exists(PATH):
        with open(PATH) as store:
            for line in store:
                try:
                    found.append(json.loads(line)["number"])
                except ValueError:
                    # Half a line at the end was never promised.
                    break
    if found[: len(promised)] != promised:
        sys.exit(f"promised {promised}, found {found}")


check() if sys.argv[1] == "check" else run(sys.argv[1])
