/**
 * A file that remembers which stops of a replay are done, so that it can be gone on with.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readFileSync, readSync, writeFileSync } from "node:fs";
import type { StopFindings, StopRest } from "../../crash/stop-findings.ts";
import type { Stop } from "../../crash/block-states.ts";
import { DaxError } from "../../lib/errno.ts";
import { openMediaFile } from "../media-file.ts";
import { closeUnlocked } from "../file-lock.ts";
import { typed } from "../system-error.ts";
import type { ReplaySettings } from "./settings.ts";

const KIND = "daxkit replay 1";
/** Of each end of the log: other logs differ there. */
const LOOKED_AT = 65_536;

/** The file, and what it knew. */
export interface ReplayNotes {
  readonly before: readonly StopFindings[];
  /** Stops that were begun, by their numbers. */
  readonly begun: ReadonlyMap<number, StopRest>;
  /** Remembers a stop, or how far it was explored. */
  add(findings: StopFindings): void;
  begin(stop: Stop, rest: StopRest): void;
}

/** A stop that was begun, on a line. */
interface Begun {
  readonly stop: Stop;
  readonly rest: StopRest;
}

/**
 * Opens the notes of a replay, or begins them.
 * @throws EINVAL for those of another replay, or for another file
 */
export function openNotes(path: string, settings: ReplaySettings): ReplayNotes {
  const identity = identityOf(settings);
  const header = `${JSON.stringify({ kind: KIND, identity })}\n`;
  let lines: (StopFindings | Begun)[] = [];
  if (typed(path, () => existsSync(path))) lines = read(path, header);
  else typed(path, () => writeFileSync(path, header));
  const write = (line: StopFindings | Begun): void =>
    typed(path, () => appendFileSync(path, `${encode(line)}\n`));
  return {
    ...sorted(lines),
    add(findings) {
      if (findings.ended !== true) write(findings);
      else if (findings.rest !== undefined) write({ stop: findings.stop, rest: findings.rest });
    },
    begin: (stop, rest) => write({ stop, rest }),
  };
}

/** The last line of a stop counts. */
function sorted(lines: readonly (StopFindings | Begun)[]): Pick<ReplayNotes, "before" | "begun"> {
  const before: StopFindings[] = [];
  const begun = new Map<number, StopRest>();
  for (const line of lines) {
    if ("space" in line) before.push(line);
    else begun.set(line.stop.index, line.rest);
  }
  return { before, begun };
}

function read(path: string, header: string): (StopFindings | Begun)[] {
  const text = typed(path, () => readFileSync(path, "utf8"));
  if (!text.startsWith(header)) {
    const detail = text.includes(KIND)
      ? "it belongs to a replay of another log, or with other options; remove it to start again"
      : "it holds something else; name a new file";
    throw new DaxError("EINVAL", { syscall: "replay", path, detail });
  }
  const lines = text.slice(header.length).split("\n");
  // Whoever was killed may have left half a line.
  const whole = lines.slice(0, -1);
  if (lines.at(-1) !== "") {
    typed(path, () => writeFileSync(path, header + whole.map((line) => `${line}\n`).join("")));
  }
  return whole.map((line) => decode(line, path));
}

function encode(line: StopFindings | Begun): string {
  return JSON.stringify(line, (_, value: unknown) =>
    typeof value === "bigint" ? `${value}n` : value,
  );
}

function decode(line: string, path: string): StopFindings | Begun {
  try {
    const noted = JSON.parse(line, (key, value: unknown) =>
      BIGINTS.has(key) && typeof value === "string" ? BigInt(value.slice(0, -1)) : value,
    ) as StopFindings | Begun;
    if (typeof noted.stop.index === "number" && isWhole(noted)) return noted;
  } catch {
    // Said below.
  }
  const detail = "a line of it makes no sense; remove it to start again";
  throw new DaxError("EINVAL", { syscall: "replay", path, detail });
}

function isWhole(noted: StopFindings | Begun): boolean {
  if ("space" in noted) return typeof noted.space === "bigint";
  const { leaves, most, covered, failing, ways } = noted.rest;
  const numbers = [leaves, most, ...ways].every((each) => Number.isSafeInteger(each) && each >= 0);
  return numbers && typeof covered === "bigint" && typeof failing === "bigint";
}

const BIGINTS: ReadonlySet<string> = new Set(["space", "covered", "failing"]);

/** Everything that decides what is found, and both ends of the log. */
function identityOf(settings: ReplaySettings): string {
  const hash = createHash("sha256");
  const { log, ...rest } = settings;
  hash.update(JSON.stringify(rest));
  const { fd, size } = openMediaFile(log, { readOnly: true });
  try {
    hash.update(String(size));
    const bytes = new Uint8Array(Math.min(size, LOOKED_AT));
    for (const at of [0, size - bytes.length]) {
      typed(log, () => readSync(fd, bytes, 0, bytes.length, at));
      hash.update(bytes);
    }
  } finally {
    closeUnlocked(fd);
  }
  return hash.digest("hex");
}
