/**
 * The process of a mapper. Its one argument is the path of the socket where it takes commands, as
 * JSON, and descriptor 3 takes a {@link MapperReport}.
 *
 * @module
 */
import { closeSync, writeSync } from "node:fs";
import { startMapper } from "../node/dm/mapper-server.ts";
import { isOperatingError, oneLine } from "./errors.ts";
import type { MapperReport } from "./mapper-background.ts";

const REPORT = 3;

const control = JSON.parse(process.argv[2] ?? "null") as string;
process.title = `daxkit dmsetup ${control}`;
// Its sockets are for nobody else.
process.umask(0o077);
report(await start());

async function start(): Promise<MapperReport> {
  try {
    const mapper = await startMapper(control, () => process.exit(0));
    if (mapper === undefined) return { serves: "another" };
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
      process.on(signal, () => void mapper.end());
    }
    return { serves: "this" };
  } catch (error) {
    if (!isOperatingError(error)) throw error;
    return { serves: "none", text: oneLine(error) };
  }
}

function report(what: MapperReport): void {
  try {
    writeSync(REPORT, `${JSON.stringify(what)}\n`);
    closeSync(REPORT);
  } catch {
    // Who wanted to know it is gone; the mapper ends by itself when nobody comes.
  }
}
