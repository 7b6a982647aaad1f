/**
 * Records that were proved, kept by the hash of their calls: a state of one is made again from its
 * record, since the program itself may do something else the next time.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { type Entry, decodeEntries, encodeEntry } from "./record.ts";

/** Letters of a hash in the name of a state. */
const NAME_LENGTH = 8;
/** Records that are kept. */
const MOST_RECORDS = 20;

/** What a program did, and what the program before it did. */
export interface StoredRecord {
  readonly setup: readonly Entry[];
  readonly entries: readonly Entry[];
  /** What it did when something failed, for the states of that. */
  readonly faulty?: { readonly name: string; readonly entries: readonly Entry[] } | undefined;
}

/** The name of a record: the same calls have the same name. */
export function nameOfRecord(record: StoredRecord): string {
  return createHash("sha256").update(bytesOf(record)).digest("hex").slice(0, NAME_LENGTH);
}

/** Keeps a record; a folder that cannot be written keeps nothing, and nothing is lost by it. */
export function keepRecord(record: StoredRecord): string {
  const name = nameOfRecord(record);
  const folder = folderOf();
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, name), bytesOf(record), { mode: 0o600 });
    prune(folder);
  } catch {
    // The state is then made by running the program again.
  }
  return name;
}

/** The record with this name, if it is kept. */
export function keptRecord(name: string): StoredRecord | undefined {
  if (!/^[0-9a-f]{8}$/u.test(name)) return undefined;
  try {
    const bytes = readFileSync(join(folderOf(), name));
    const entries = decodeEntries(bytes.subarray(4));
    const count = bytes.readUInt32LE(0);
    const record = partsOf(entries, count);
    return nameOfRecord(record) === name ? record : undefined;
  } catch {
    return undefined;
  }
}

/** A state's name, in two parts: whose, and which. */
export function splitState(state: string): readonly [record: string, id: string] {
  const dash = state.indexOf("-");
  return dash === NAME_LENGTH ? [state.slice(0, dash), state.slice(dash + 1)] : ["", state];
}

function bytesOf({ setup, entries, faulty }: StoredRecord): Buffer {
  const count = Buffer.alloc(4);
  count.writeUInt32LE(setup.length);
  const mark: Entry[] = faulty === undefined ? [] : [{ kind: "fault", name: faulty.name }];
  const all = [...setup, ...entries, ...mark, ...(faulty?.entries ?? [])];
  return Buffer.concat([count, ...all.map(encodeEntry)]);
}

function partsOf(all: readonly Entry[], count: number): StoredRecord {
  const setup = all.slice(0, count);
  const at = all.findIndex(({ kind }) => kind === "fault");
  const mark = all[at];
  if (mark?.kind !== "fault") return { setup, entries: all.slice(count) };
  const faulty = { name: mark.name, entries: all.slice(at + 1) };
  return { setup, entries: all.slice(count, at), faulty };
}

function folderOf(): string {
  const cache = process.env["XDG_CACHE_HOME"];
  const base = cache === undefined || cache === "" ? join(homedir(), ".cache") : cache;
  return join(base, "daxkit", "programs");
}

function prune(folder: string): void {
  const kept = readdirSync(folder).map((name) => ({
    name,
    at: statSync(join(folder, name)).mtimeMs,
  }));
  const old = kept.toSorted((a, b) => b.at - a.at).slice(MOST_RECORDS);
  for (const { name } of old) rmSync(join(folder, name), { force: true });
}
