/**
 * `daxkit dmsetup`.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { DM_MAJOR } from "../../dm/device-mapper.ts";
import { type Given, givenBy, REPEATED, tableFile } from "../../dm/dmsetup-options.ts";
import type { MapperRecord } from "../../node/dm/mapper-places.ts";
import type { MapperAnswer, MapperRequest } from "../../node/dm/mapper-talk.ts";
import { typed } from "../../node/system-error.ts";
import { STATUS_FINDING, STATUS_OK, UsageError, command } from "../command.ts";
import { isOperatingError, oneLine } from "../errors.ts";
import { quoted } from "../quoting.ts";
import type { Terminal } from "../terminal.ts";

const OPTIONS = {
  table: { type: "text", value: "TABLE", text: "take this table, not that of a file", empty: true },
  notable: { type: "flag", short: "n", text: "create a device without a table" },
  concise: { type: "flag", text: "with create and table: several devices in one text" },
  uuid: { type: "text", short: "u", value: "UUID", text: "name a device by uuid, or give it one" },
  major: { type: "count", short: "j", value: "N", text: "name a device by number" },
  minor: {
    type: "count",
    short: "m",
    value: "N",
    text: "with major; with create, give it this one",
  },
  readonly: { type: "flag", short: "r", text: "make it a device that can only be read" },
  readahead: { type: "text", value: "SECTORS", text: "what info shows as such" },
  dax: {
    type: "choice",
    value: "auto|never",
    choices: ["auto", "never"],
    text: "offer dax where all legs have it, or never",
  },
  columns: { type: "flag", short: "c", text: "with info: a row for each device; also -C" },
  noheadings: { type: "flag", text: "leave the line of headings out, and put ':' between fields" },
  separator: { type: "text", value: "TEXT", text: "what stands between fields", empty: true },
  nameprefixes: { type: "flag", text: "write fields as DM_NAME='x'" },
  unquoted: { type: "flag", text: "the same without quotes" },
  rows: { type: "flag", text: "a line for each field, not for each device" },
  options: {
    type: "text",
    short: "o",
    value: "FIELDS",
    text: "with info -c, ls, deps: show these",
  },
  sort: { type: "text", short: "O", value: "FIELDS", text: "with info -c: in the order of these" },
  select: { type: "text", short: "S", value: "TEST", text: "with info -c: only devices like that" },
  target: { type: "text", value: "TARGET", text: "only devices, or lines, with this target" },
  tree: { type: "flag", text: "with ls: show what stands on what" },
  inactive: { type: "flag", text: "show the table that waits" },
  showkeys: { type: "flag", text: "accepted; no target here has keys" },
  noflush: { type: "flag", text: "with suspend: wait for no request" },
  nolockfs: { type: "flag", text: "with suspend: freeze no filesystem" },
  deferred: { type: "flag", text: "with remove: when its last user goes" },
  force: { type: "flag", short: "f", text: "with remove: put the target error in first" },
  retry: { type: "flag", text: "accepted" },
  setuuid: { type: "flag", text: "with rename: give a uuid to a device that has none" },
  verbose: { type: "flag", short: "v", text: "show the device afterwards" },
  yes: { type: "flag", short: "y", text: "accepted" },
  checks: { type: "flag", text: "accepted" },
  noopencount: { type: "flag", text: "accepted" },
  unbuffered: { type: "flag", text: "accepted" },
  manglename: {
    type: "choice",
    value: "auto|hex|none",
    choices: ["auto", "hex", "none"],
    text: "accepted; names are shown as they are, and taken as udev writes them, too",
  },
  uid: { type: "text", short: "U", value: "UID", text: "accepted; there are no nodes here" },
  gid: { type: "text", short: "G", value: "GID", text: "accepted" },
  mode: { type: "text", short: "M", value: "MODE", text: "accepted" },
  addnodeoncreate: { type: "flag", text: "accepted" },
  addnodeonresume: { type: "flag", text: "accepted" },
  udevcookie: { type: "text", value: "COOKIE", text: "accepted; there is no udev here" },
  verifyudev: { type: "flag", text: "accepted" },
  noudevsync: { type: "flag", text: "accepted" },
  noudevrules: { type: "flag", text: "accepted" },
  version: { type: "flag", text: "as the command version" },
  mapper: {
    type: "file",
    value: "SOCKET",
    text: "keep devices in the mapper there; DAXKIT_MAPPER sets it, too",
  },
} as const;

const COMMANDS =
  "create load reload table status info ls deps suspend resume message remove remove_all rename " +
  "clear wait wipe_table mknodes mangle splitname targets target-version version help uri";

export const dmsetup = command({
  name: "dmsetup",
  summary: "make and change mapped devices, as dmsetup does",
  description: [
    "COMMAND is create, load, table, status, info, ls, deps, suspend, resume, message, remove, " +
      "remove_all, rename, clear, wait, wipe_table, mangle, splitname, targets, target-version " +
      "or version, with dmsetup's operands, options, output and exit statuses; and uri. A table " +
      "is lines of START LENGTH TARGET ARGUMENTS, in sectors of 512 bytes. Its devices are " +
      "files, block devices, /dev/mapper/NAME and numbers such as 253:0. Files in use are " +
      "shown as 240:N.",
    "The devices live in a mapper: a process in the background that the first create starts and " +
      "the last remove ends, as SIGTERM does. It has what is below the devices open, and locked.",
    "Each device is an NBD export: 'daxkit dmsetup uri NAME' says where, for 'daxkit mount', " +
      "'daxkit ls', 'daxkit nbd-check', nbdinfo, nbdcopy and QEMU. A device with clients cannot " +
      "be removed, and while it is suspended they wait.",
    "When the mapper is killed, devices are gone, and what was flushed is on the files below: " +
      "create them again. The next run says which devices there were, and their tables.",
    "Words that begin with a dash and are no options, as in messages, stand behind '--'. There " +
      "are no nodes in /dev/mapper, so that ls has no --exec; stats, measure and setgeometry are " +
      "left out.",
  ],
  json: "document",
  operands: [
    { name: "COMMAND", text: "what to do", complete: COMMANDS.split(" ") },
    { name: "NAME|WORD", text: "the device, and what the command takes", count: "any" },
  ],
  options: OPTIONS,
  ownOptions: ["mapper"],
  examples: [
    {
      line: "daxkit dmsetup create fast --table '0 65536 striped 2 128 a.img 0 b.img 0'",
      text: "makes one device of two files",
    },
    { line: "daxkit dmsetup ls --tree", text: "shows what there is" },
    { line: "daxkit ls $(daxkit dmsetup uri fast)", text: "lists the files on it" },
    { line: "daxkit dmsetup remove fast", text: "removes it" },
  ],
  statuses: { 1: "dmsetup's command failed" },
  async run({ values, operands, json, out, terminal }) {
    const request = requestOf(operands);
    const answer = await answerTo(request, values.mapper, terminal);
    if (answer.stderr !== "") terminal.report(answer.stderr);
    const devices = chosen(answer, givenBy(operands));
    if (json && answer.status === 0) out.json({ devices });
    else if (!isUri(operands)) out.text(json ? "" : answer.stdout);
    else if (answer.status === 0) for (const { uri } of devices) out.line(uri);
    return answer.status === 0 ? STATUS_OK : STATUS_FINDING;
  },
});

function isUri(words: readonly string[]): boolean {
  return givenBy(words)?.verb === "uri";
}

/** The devices that were named, or all of them. */
function chosen({ devices }: MapperAnswer, given: Given | undefined): MapperAnswer["devices"] {
  if (given === undefined) return [];
  const { verb, operands, values } = given;
  const names = REPEATED.has(verb) || verb === "uri" ? operands : operands.slice(0, 1);
  const number = `${values.get("major")}:${values.get("minor")}`;
  const named = devices.filter(
    (device) =>
      names.includes(device.name) || device.uuid === values.get("uuid") || device.number === number,
  );
  return named.length > 0 ? named : devices;
}

/** What a mapper says to it; without one, what one that has no devices would say. */
async function answerTo(
  request: MapperRequest,
  given: string | undefined,
  terminal: Terminal,
): Promise<MapperAnswer> {
  const { usualMapper, askOrStart, passed, PAUSE_MS, TRIES } =
    await import("../mapper-background.ts");
  const { askMapper, tableReader } = await import("../../node/dm/mapper-talk.ts");
  const named = given ?? process.env["DAXKIT_MAPPER"];
  const control = named === undefined || named === "" ? usualMapper() : resolve(named);
  const answer = await askMapper(control, request);
  if (answer !== undefined) return answer;
  const { takeRecord, mapperPlaces } = await import("../../node/dm/mapper-places.ts");
  let record = takeRecord(mapperPlaces(control));
  // One that does not listen begins to just now, or dies.
  for (let i = 0; record === "alive" && i < TRIES; i++) {
    // oxlint-disable-next-line no-await-in-loop -- one try after the other
    await passed(PAUSE_MS);
    // oxlint-disable-next-line no-await-in-loop -- the same
    const late = await askMapper(control, request);
    if (late !== undefined) return late;
    record = takeRecord(mapperPlaces(control));
  }
  if (record !== "alive") tellOfKilled(record, terminal);
  if (givenBy(request.words)?.verb === "create") return await askOrStart(control, request);
  const { DeviceMapper } = await import("../../dm/device-mapper.ts");
  const { dmsetup: runHere } = await import("../../dm/dmsetup.ts");
  const input = { read: tableReader(request) };
  return { ...runHere(new DeviceMapper(), request.words, input), devices: [] };
}

/** The words as dmsetup knows them, with the table that they read. */
function requestOf(words: readonly string[]): MapperRequest {
  const folder = process.cwd();
  const given = givenBy(words);
  if (given === undefined) return { words, folder };
  if (given.verb === "uri") return { words: uriWords(given), folder };
  const source = tableFile(given);
  if (source === "none") return { words, folder };
  try {
    return { words, folder, table: textOf(source.file ?? 0) };
  } catch (error) {
    if (!isOperatingError(error)) throw error;
    return { words, folder, unread: oneLine(error) };
  }
}

/** What is asked of the devices whose places are wanted. */
function uriWords({ operands, flags, values }: Given): readonly string[] {
  const options = [...values].flatMap(([name, value]) => [`--${name}`, value]);
  const naming = new Set(["uuid", "major", "minor"]);
  if (flags.size > 0 || [...values.keys()].some((name) => !naming.has(name))) {
    throw new UsageError("'uri' takes devices' names, -u UUID, or -j MAJOR -m MINOR");
  }
  return operands.length === 0 && options.length === 0 ? ["ls"] : ["info", ...operands, ...options];
}

function textOf(file: string | 0): string {
  return typed(file === 0 ? "standard input" : file, () => readFileSync(file, "utf8"));
}

/** A mapper that was killed could not say so itself. */
function tellOfKilled(record: MapperRecord | undefined, terminal: Terminal): void {
  if (record === undefined) return;
  terminal.message(
    `the mapper, process ${record.pid}, was killed. What was flushed is on its files; ` +
      "these devices are gone, and can be created again:",
    "warning",
  );
  for (const { name, uuid, minor, readOnly, table } of record.devices) {
    const words = [name, "--major", String(DM_MAJOR), "--minor", String(minor)];
    if (uuid !== "") words.push("--uuid", uuid);
    if (readOnly) words.push("--readonly");
    const lines = table.trimEnd();
    words.push(...(lines === "" ? ["--notable"] : ["--table", lines]));
    terminal.report(`daxkit dmsetup create ${words.map(quoted).join(" ")}\n`);
  }
}
