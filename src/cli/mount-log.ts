/**
 * Where a mount in the background says what goes wrong: a file, or the system's log.
 *
 * Nothing here may look for anything on the mount itself, which would wait for this very process:
 * the file is open before, and the program is called by its place.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, writeSync } from "node:fs";
import { printable } from "./output.ts";

/** See the module. */
export interface MountLog {
  say(text: string): void;
  /** All was said. */
  close(): Promise<void>;
}

const LOGGERS = ["/usr/bin/logger", "/bin/logger"];
/** A log that does not take it must not keep the process. */
const PATIENCE_MS = 2000;

/** @throws what opening the file says */
export function openLog(path: string | undefined): MountLog {
  return path === undefined ? systemLog() : fileLog(path);
}

function fileLog(path: string): MountLog {
  const fd = openSync(path, "a", 0o640);
  return {
    say(text) {
      try {
        const line = `${new Date().toISOString()} daxkit[${process.pid}]: ${printable(text)}\n`;
        writeSync(fd, line);
      } catch {
        // A full disk: there is nobody else to tell.
      }
    },
    close: async () => closeSync(fd),
  };
}

function systemLog(): MountLog {
  const program = LOGGERS.find((each) => existsSync(each));
  const told: Promise<void>[] = [];
  return {
    say(text) {
      if (program !== undefined) told.push(logged(program, printable(text)));
    },
    close: async () => void (await Promise.all(told)),
  };
}

async function logged(program: string, text: string): Promise<void> {
  const tag = `daxkit[${process.pid}]`;
  const words = ["-t", tag, "-p", "daemon.err", "--", text];
  const child = spawn(program, words, { cwd: "/", stdio: "ignore", timeout: PATIENCE_MS });
  await new Promise<void>((resolve) => {
    child.once("error", () => resolve());
    child.once("exit", () => resolve());
  });
}
