/**
 * The process behind a mount in the background. Its one argument is a {@link BackgroundJob}, and
 * descriptor 3 takes a {@link BackgroundReport}.
 *
 * @module
 */
import { closeSync, writeSync } from "node:fs";
import { isOperatingError, oneLine } from "./errors.ts";
import type { BackgroundJob, BackgroundReport } from "./mount-background.ts";
import { openLog } from "./mount-log.ts";
import { serveMount } from "./mount-serve.ts";

const REPORT = 3;

const job = JSON.parse(process.argv[2] ?? "null") as BackgroundJob;
process.title = `daxkit mount ${job.source} ${job.directory}`;
process.exit(await run());

async function run(): Promise<number> {
  let reported = false;
  const report = (what: BackgroundReport): void => {
    reported = true;
    try {
      writeSync(REPORT, `${JSON.stringify(what)}\n`);
      closeSync(REPORT);
    } catch {
      // Who wanted to know it is gone.
    }
  };
  const fail = (error: unknown): void => {
    const code = isOperatingError(error) ? error.code : undefined;
    report({ mounted: false, code, text: worded(error) });
  };
  try {
    const log = openLog(job.log);
    // Nobody reads what Node itself would say.
    process.once("uncaughtException", (error) => {
      log.say(`${job.directory}: ${worded(error)}`);
      void log.close().finally(() => process.exit(1));
    });
    try {
      await serveMount(job, {
        onMounted: ({ directory }) => report({ mounted: true, directory, pid: process.pid }),
        complain: (text) => log.say(`${job.directory}: ${text}`),
      });
      return 0;
    } catch (error) {
      if (reported) log.say(`${job.directory}: ${worded(error)}`);
      else fail(error);
      return 1;
    } finally {
      await log.close();
    }
  } catch (error) {
    if (!reported) fail(error);
    return 1;
  }
}

/** In one line; a mistake of ours with its stack. */
function worded(error: unknown): string {
  if (isOperatingError(error)) return oneLine(error);
  const shown = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `this is a bug in daxkit; please report it: ${shown}`;
}
