/**
 * The process behind the mount is killed while several processes write: what was synced is there.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Figures, type Judge, type Place, beside, folderIn } from "./judge.ts";
import { inOrder, must, until } from "./processes.ts";

const WRITERS = 3;

/** Changes that a writer has noted as synced until now. */
function syncedIn(log: string): number {
  return existsSync(log) ? readFileSync(log, "utf8").split('"synced"').length - 1 : 0;
}

async function crash(place: Place): Promise<Figures> {
  const turns = Array.from({ length: place.number("crashes", 2, 20) }, (_, i) => i);
  const least = place.number("changes", 15, 100);
  const script = beside("crash-writer.py");
  let synced = 0;
  await inOrder(turns, async (turn) => {
    const writers = Array.from({ length: WRITERS }, (_, writer) => {
      const folder = folderIn(place.folder, `crash-${turn}-${writer}`);
      return { folder, log: join(place.scratch, `crash-${turn}-${writer}.log`), writer };
    });
    const ends = writers.map(({ folder, log, writer }) => {
      const seed = `${place.seed}-${turn}-${writer}`;
      // Ends by itself when the mount is gone, with an error that is expected.
      return once(
        spawn("python3", [script, "write", folder, log, seed], { stdio: "ignore" }),
        "exit",
      );
    });
    // Later in each turn, so that commits of all kinds are cut off.
    const changes = least * (turn + 1);
    await until(() => writers.every(({ log }) => syncedIn(log) >= changes), 120, "the changes");
    await place.crash();
    await Promise.all(ends);
    await inOrder(writers, async ({ folder, log }) => {
      synced += Number((await must("python3", [script, "check", folder, log])).output);
    });
  });
  place.say(`${turns.length} crashes, ${synced} synced changes, all there`);
  return { crashes: turns.length, synced };
}

export const CRASH: Judge = {
  name: "crash",
  summary: "kill -9 of the process behind the mount: what was synced is there afterwards",
  mib: { small: 128, full: 512 },
  programs: ["python3"],
  // ext2 has no journal, and promises nothing.
  fits: (image, on) => on !== "kernel" && !image.startsWith("ext2"),
  run: crash,
};
