/**
 * The client of `fuse-transport.bench.ts`: a process that asks a mount for one thing, for a while.
 * Arguments: the directory, the row, milliseconds. It prints operations and milliseconds.
 */
import { closeSync, constants, openSync, readSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";

const [directory = "", row = "", milliseconds = "300"] = process.argv.slice(2);
const file = join(directory, "file");
const MIB = 1 << 20;
/** The file's size, after which reading starts anew with nothing cached. */
const PASS = 256;

interface Load {
  /** Does `times` operations. */
  run(times: number): void;
  readonly close: () => void;
}

function stats(): Load {
  return {
    run(times) {
      for (let i = 0; i < times; i++) statSync(file);
    },
    close: () => {},
  };
}

function writes(length: number, flags = constants.O_WRONLY): Load {
  const fd = openSync(file, flags);
  const data = new Uint8Array(length).fill(1);
  const places = (PASS * MIB) / length;
  let at = 0;
  return {
    run(times) {
      for (let i = 0; i < times; i++) writeSync(fd, data, 0, length, (at++ % places) * length);
    },
    close: () => closeSync(fd),
  };
}

function reads(): Load {
  const data = new Uint8Array(MIB);
  let fd = openSync(file, "r");
  let at = 0;
  return {
    run(times) {
      for (let i = 0; i < times; i++) {
        if (at === PASS) {
          closeSync(fd);
          fd = openSync(file, "r");
          at = 0;
        }
        readSync(fd, data, 0, MIB, at++ * MIB);
      }
    },
    close: () => closeSync(fd),
  };
}

const loads: Readonly<Record<string, () => [Load, number]>> = {
  stat: () => [stats(), 64],
  "write 4 KiB": () => [writes(4096), 64],
  "write 1 MiB": () => [writes(MIB), 4],
  "read 1 MiB": () => [reads(), 4],
};

const [load, batch] = loads[row]!();
load.run(batch);
const start = performance.now();
const until = start + Number(milliseconds);
let operations = 0;
while (performance.now() < until) {
  load.run(batch);
  operations += batch;
}
const elapsed = performance.now() - start;
load.close();
process.stdout.write(JSON.stringify({ operations, milliseconds: elapsed }));
