/**
 * SQLite: its own speed test in WAL and rollback journals where that is given, and work of several
 * processes on one database, one of which is killed.
 */
import { join, resolve } from "node:path";
import { type Figures, type Judge, type Place, beside } from "./judge.ts";
import { Failure, inOrder, must } from "./processes.ts";

const JOURNALS = ["wal", "delete", "truncate", "persist"];

async function speedtest(place: Place, program: string): Promise<Figures> {
  const figures: Record<string, number> = {};
  const size = String(place.number("speedtest-size", 5, 100));
  await inOrder(
    [["wal"], ["delete"], ["wal", "--mmap", "268435456"]],
    async ([mode = "", ...more]) => {
      const database = join(place.folder, `speedtest-${mode}${more.length}.db`);
      // The custom build wants a factor in front.
      const lead = place.given["speedtest1-lead"]?.split(" ") ?? [];
      const args = [...lead, "--journal", mode, "--size", size, "--verify", ...more, database];
      const { output, seconds } = await must(program, args, { timeout: 3600 });
      await integrity(database);
      figures[`speedtest-${mode}${more.length > 0 ? "-mmap" : ""}`] = Number(seconds.toFixed(1));
      place.say(`speedtest1 ${args.slice(0, -1).join(" ")}: ${output.trim().split("\n").at(-1)}`);
    },
  );
  return figures;
}

async function integrity(database: string): Promise<void> {
  const { output } = await must("python3", [beside("sqlite-work.py"), "check", database]);
  if (output !== "ok\n") throw new Failure(`PRAGMA integrity_check of ${database}: ${output}`);
}

async function sqlite(place: Place): Promise<Figures> {
  const rows = place.number("rows", 300, 5000);
  await inOrder(JOURNALS, async (journal) => {
    const database = join(place.folder, `work-${journal}.db`);
    const args = ["work", database, journal, String(rows), String(place.seed)];
    const { output } = await must("python3", [beside("sqlite-work.py"), ...args]);
    place.say(`${journal}: ${output.trim()}`);
    await integrity(database);
  });
  const program = place.given["speedtest1"];
  const measured = program === undefined ? {} : await speedtest(place, resolve(program));
  return { journals: JOURNALS.length, rows, ...measured };
}

export const SQLITE: Judge = {
  name: "sqlite",
  summary: "several processes on one database in four journal modes; speedtest1 if given",
  mib: { small: 128, full: 1024 },
  programs: ["python3"],
  run: sqlite,
};
