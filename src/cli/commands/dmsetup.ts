/**
 * `daxkit dmsetup`.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { REPEATED } from "../../dm/dmsetup-options.ts";
import type { MapperRecord } from "../../node/dm/mapper-places.ts";
import type { MapperAnswer, MapperRequest } from "../../node/dm/mapper-talk.ts";
import { typed } from "../../node/system-error.ts";
import { type Invocation, STATUS_FINDING, STATUS_OK, UsageError, command } from "../command.ts";
import { quoted } from "../quoting.ts";

const OPTIONS = {
  table: {
    type: "text",
    value: "TABLE",
    text: "take this table, not that of a file or of standard input",
    empty: true,
  },
  notable: { type: "flag", short: "n", text: "create a device without a table" },
  uuid: { type: "text", short: "u", value: "UUID", text: "name a device by uuid, or give it one" },
  major: { type: "count", short: "j", value: "N", text: "name a device by number" },
  minor: { type: "count", short: "m", value: "N", text: "the same; with create, give it this one" },
  readonly: { type: "flag", short: "r", text: "make it a device that can only be read" },
  dax: {
    type: "choice",
    value: "auto|never",
    choices: ["auto", "never"],
    text: "offer dax where all legs have it, or never",
  },
  columns: { type: "flag", short: "c", text: "with info: a row for each device" },
  column: { type: "flag", short: "C", text: "the same" },
  noheadings: { type: "flag", text: "leave the line of headings out" },
  options: { type: "text", short: "o", value: "FIELDS", text: "with info -c and deps: show these" },
  target: { type: "text", value: "TARGET", text: "only devices, or lines, with this target" },
  tree: { type: "flag", text: "with ls: show what stands on what" },
  inactive: { type: "flag", text: "with table: show the table that waits" },
  noflush: { type: "flag", text: "with suspend: wait for no request" },
  nolockfs: { type: "flag", text: "with suspend: freeze no filesystem" },
  deferred: { type: "flag", text: "with remove: when its last user goes" },
  force: { type: "flag", short: "f", text: "accepted" },
  retry: { type: "flag", text: "accepted" },
  setuuid: { type: "flag", text: "with rename: give a uuid to a device that has none" },
  verbose: { type: "flag", short: "v", text: "with wait: show the device afterwards" },
  verifyudev: { type: "flag", text: "accepted; there is no udev here" },
  noudevsync: { type: "flag", text: "accepted" },
  noudevrules: { type: "flag", text: "accepted" },
  mapper: {
    type: "file",
    value: "SOCKET",
    text: "keep devices in the mapper there; DAXKIT_MAPPER sets it, too",
  },
} as const;

const COMMANDS =
  "create load reload table status info ls deps suspend resume message remove remove_all rename " +
  "clear wait wipe_table mknodes targets version uri";

type DmsetupInvocation = Invocation<typeof OPTIONS>;

export const dmsetup = command({
  name: "dmsetup",
  summary: "make and change mapped devices, as dmsetup does",
  description: [
    "COMMAND is create, load, table, status, info, ls, deps, suspend, resume, message, remove, " +
      "remove_all, rename, clear, wait, wipe_table, targets or version, with dmsetup's operands, " +
      "options, output and exit statuses; and uri. A table is lines of START LENGTH TARGET " +
      "ARGUMENTS, in sectors of 512 bytes. Its devices are files, block devices, " +
      "/dev/mapper/NAME and numbers such as 253:0. Files that are in use are shown as 240:N.",
    "The devices live in a mapper: a process in the background that the first create starts and " +
      "the last remove ends, as SIGTERM does. It has what is below the devices open, and locked.",
    "Each device is an NBD export: 'daxkit dmsetup uri NAME' says where, for 'daxkit mount', " +
      "'daxkit ls', 'daxkit nbd-check', nbdinfo, nbdcopy and QEMU. A device with clients cannot " +
      "be removed, and while it is suspended they wait.",
    "When the mapper is killed, devices are gone, and what was flushed is on the files below: " +
      "create them again. The next run says which devices there were, and their tables.",
    "Words that begin with a dash and are no options, as in messages, stand behind '--'.",
  ],
  json: "document",
  operands: [
    { name: "COMMAND", text: "what to do", complete: COMMANDS.split(" ") },
    { name: "NAME|WORD", text: "the device, and what the command takes", count: "any" },
  ],
  options: OPTIONS,
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
  async run(invocation) {
    const { out, json, operands, terminal } = invocation;
    const [verb] = operands;
    const answer = await answerTo(invocation);
    if (answer.stderr !== "") terminal.report(answer.stderr);
    const devices = chosen(answer, invocation);
    if (json && answer.status === 0) out.json({ devices });
    else if (verb !== "uri") out.text(json ? "" : answer.stdout);
    else if (answer.status === 0) for (const { uri } of devices) out.line(uri);
    return answer.status === 0 ? STATUS_OK : STATUS_FINDING;
  },
});

/** The devices that were named, or all of them. */
function chosen(
  { devices }: MapperAnswer,
  { operands: [verb = "", ...words], values }: DmsetupInvocation,
): MapperAnswer["devices"] {
  const names = REPEATED.has(verb) ? words : words.slice(0, 1);
  const number = `${values.major}:${values.minor}`;
  const named = devices.filter(
    (device) =>
      names.includes(device.name) || device.uuid === values.uuid || device.number === number,
  );
  return named.length > 0 ? named : devices;
}

/** What a mapper says to it; without one, what one that has no devices would say. */
async function answerTo(invocation: DmsetupInvocation): Promise<MapperAnswer> {
  const request = requestOf(invocation);
  const { usualMapper, askOrStart } = await import("../mapper-background.ts");
  const { askMapper } = await import("../../node/dm/mapper-talk.ts");
  const named = invocation.values.mapper ?? process.env["DAXKIT_MAPPER"];
  const control = named === undefined || named === "" ? usualMapper() : resolve(named);
  const answer = await askMapper(control, request);
  if (answer !== undefined) return answer;
  const { takeRecord, mapperPlaces } = await import("../../node/dm/mapper-places.ts");
  tellOfKilled(takeRecord(mapperPlaces(control).record), invocation);
  if (invocation.operands[0] === "create") return await askOrStart(control, request);
  const { DeviceMapper } = await import("../../dm/device-mapper.ts");
  const { dmsetup: runHere } = await import("../../dm/dmsetup.ts");
  const read = (): string => request.table ?? "";
  return { ...runHere(new DeviceMapper(), request.words, { read }), devices: [] };
}

/** Options and operands as dmsetup knows them. */
function requestOf({ operands, values }: DmsetupInvocation): MapperRequest {
  const [verb = "", name, extra] = operands;
  const { mapper: _, column, ...known } = values;
  const words: string[] = column ? ["--columns"] : [];
  for (const [option, value] of Object.entries(known)) {
    if (!Object.hasOwn(OPTIONS, option)) continue;
    if (value === true) words.push(`--${option}`);
    else if (value !== undefined && value !== false) words.push(`--${option}`, String(value));
  }
  const isUri = verb === "uri";
  if (isUri && (extra !== undefined || words.length > 0)) {
    throw new UsageError("'uri' takes a device's name, or nothing");
  }
  words.push(...(isUri ? (name === undefined ? ["ls"] : ["info", name]) : operands));
  const folder = process.cwd();
  const isRead = READING.has(verb) && values.table === undefined && !values.notable;
  const isByOption = verb !== "create" && (values.uuid ?? values.minor) !== undefined;
  const file = isByOption ? name : extra;
  if (!isRead || (name === undefined && !isByOption)) return { words, folder };
  return { words, folder, table: textOf(file === undefined || file === "-" ? 0 : file) };
}

/** Commands that read a table unless it is among the options. */
const READING: ReadonlySet<string> = new Set(["create", "load", "reload"]);

function textOf(file: string | 0): string {
  return typed(file === 0 ? "standard input" : file, () => readFileSync(file, "utf8"));
}

/** A mapper that was killed could not say so itself. */
function tellOfKilled(record: MapperRecord | undefined, { terminal }: DmsetupInvocation): void {
  if (record === undefined) return;
  terminal.message(
    `the mapper, process ${record.pid}, was killed. What was flushed is on its files; ` +
      "these devices are gone, and can be created again:",
    "warning",
  );
  for (const { name, uuid, minor, readOnly, table } of record.devices) {
    const words = [name, "--minor", String(minor)];
    if (uuid !== "") words.push("--uuid", uuid);
    if (readOnly) words.push("--readonly");
    const lines = table.trimEnd();
    words.push(...(lines === "" ? ["--notable"] : ["--table", lines]));
    terminal.report(`daxkit dmsetup create ${words.map(quoted).join(" ")}\n`);
  }
}
