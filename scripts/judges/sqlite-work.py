"""Work of several processes on one SQLite database, one of which is killed in a transaction.

usage: sqlite-work.py work DATABASE JOURNAL ROWS SEED | check DATABASE
"""
import os, random, signal, sqlite3, sys, time

PROCESSES = 3
# Pages; few, so that a transaction spills to the file before it commits.
CACHE = 20


def connect(path, journal=None):
    base = sqlite3.connect(path, timeout=60, isolation_level=None)
    base.execute(f"PRAGMA cache_size={CACHE}")
    base.execute("PRAGMA mmap_size=1048576")
    if journal is not None:
        found = base.execute(f"PRAGMA journal_mode={journal}").fetchone()[0]
        if found != journal:
            sys.exit(f"journal_mode={journal} gave {found}")
    return base


def prepare(path, journal):
    base = connect(path, journal)
    base.execute("CREATE TABLE counts(who INTEGER PRIMARY KEY, n INTEGER)")
    base.execute("CREATE TABLE rows(who INTEGER, n INTEGER, text TEXT, UNIQUE(who, n))")
    base.executemany("INSERT INTO counts VALUES(?, 0)", [(who,) for who in range(PROCESSES + 1)])
    base.close()


def add(path, journal, who, rows, seed):
    """Each transaction adds some rows and counts them."""
    random.seed(f"{seed} {who}")
    base, done = connect(path, journal), 0
    while done < rows:
        count = min(random.randrange(1, 40), rows - done)
        base.execute("BEGIN IMMEDIATE")
        texts = [(who, done + i, "x" * random.randrange(400)) for i in range(count)]
        base.executemany("INSERT INTO rows VALUES(?, ?, ?)", texts)
        base.execute("UPDATE counts SET n = n + ? WHERE who = ?", (count, who))
        base.execute("COMMIT")
        done += count
    base.close()


def be_killed(path, journal):
    """Leaves a hot journal, or a log without its commit."""
    base = connect(path, journal)
    base.execute("BEGIN IMMEDIATE")
    for i in range(2000):
        base.execute("INSERT INTO rows VALUES(?, ?, ?)", (PROCESSES, i, "never" * 50))
    os.kill(os.getpid(), signal.SIGKILL)


def fork(body, *args):
    child = os.fork()
    if child == 0:
        body(*args)
        os._exit(0)
    return child


def work(path, journal, rows, seed):
    started = time.monotonic()
    prepare(path, journal)
    children = [fork(add, path, journal, who, rows, seed) for who in range(PROCESSES)]
    killed = fork(be_killed, path, journal)
    for child in children:
        if os.waitpid(child, 0)[1] != 0:
            sys.exit("a process failed")
    if os.waitpid(killed, 0)[1] != signal.SIGKILL:
        sys.exit("the process that was to be killed ended in another way")
    base = connect(path)
    counts = base.execute("SELECT n FROM counts ORDER BY who").fetchall()
    found = base.execute("SELECT who, count(*) FROM rows GROUP BY who ORDER BY who").fetchall()
    if counts != [(rows,)] * PROCESSES + [(0,)] or found != [(w, rows) for w in range(PROCESSES)]:
        sys.exit(f"counts {counts}, rows {found}")
    base.execute("DELETE FROM rows WHERE n % 3 = 0")
    base.execute("VACUUM")
    base.close()
    print(f"{rows * PROCESSES} rows in {time.monotonic() - started:.1f} s")


if sys.argv[1] == "check":
    print(connect(sys.argv[2]).execute("PRAGMA integrity_check").fetchone()[0])
else:
    work(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
