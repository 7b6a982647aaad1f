/**
 * The commands of dmsetup.
 *
 * @module
 */
import { DaxError, isDaxError } from "../lib/errno.ts";
import type { CreateOptions, DeviceMapper } from "./device-mapper.ts";
import { type DmsetupInput, ioctl } from "./dmsetup-ioctl.ts";
import { type Given, isByOption, StillWaiting, UsageError } from "./dmsetup-options.ts";
import type { MappedDevice } from "./mapped-device.ts";
import {
  byName,
  depsText,
  infoColumns,
  infoText,
  listText,
  statusText,
  tableText,
  targetsText,
  treeText,
} from "./reports.ts";
import { parseTable, type TableLine, unsigned } from "./words.ts";

type Verb = (mapper: DeviceMapper, given: Given, input: DmsetupInput) => string;

/** Of libdevmapper, and of the kernel whose tables these are. */
const VERSIONS = ["1.02.185 (2022-05-18)", "4.47.0"] as const;

/** A device by name, or by `-u` or `-j -m`; the ioctl's error when there is none. */
function deviceOf(mapper: DeviceMapper, given: Given, name: string): MappedDevice {
  const found = lookUp(mapper, given);
  if (found !== undefined) return found;
  // These two look before they ask.
  if (name === "status" || name === "info") throw new UsageError("Device does not exist.");
  return ioctl(name, told(given), () => {
    const path = told(given).trim();
    const detail = `there is no mapped device "${path.slice(0, 200)}"`;
    throw new DaxError("ENXIO", { syscall: "dmsetup", path, detail });
  });
}

function lookUp(mapper: DeviceMapper, given: Given): MappedDevice | undefined {
  const { operands, values } = given;
  if (!isByOption(given)) {
    const [word] = operands;
    if (word === undefined) throw new UsageError("Command requires a device name.");
    return mapper.find(word);
  }
  const uuid = values.get("uuid");
  if (uuid !== undefined) return mapper.find(`UUID=${uuid}`);
  const [major, minor] = [unsigned(values.get("major")), unsigned(values.get("minor"))];
  return mapper.devices.find(({ number }) => number.major === major && number.minor === minor);
}

/** How dmsetup names a device in an error: as it was named. */
function told(given: Given): string {
  const { operands, values } = given;
  if (!isByOption(given)) return `${operands[0] ?? ""} `;
  const uuid = values.get("uuid");
  return uuid === undefined ? ` (${values.get("major")}:${values.get("minor")})` : ` ${uuid}`;
}

/** The operands behind the one that names the device. */
function behind(given: Given): readonly string[] {
  return isByOption(given) ? given.operands : given.operands.slice(1);
}

function tableOf(given: Given, input: DmsetupInput): TableLine[] {
  const text = given.values.get("table");
  if (text !== undefined) return parse(text, "");
  const [file] = behind(given);
  if (input.read === undefined) throw new UsageError("a table is given with --table");
  return parse(input.read(file), file ?? "<stdin>");
}

function parse(text: string, where: string): TableLine[] {
  try {
    return parseTable(text);
  } catch (error) {
    const detail = isDaxError(error) ? error.detail : undefined;
    const line = /on line (\d+) of table: (.*)/u.exec(detail ?? "");
    if (line === null) throw error;
    throw new UsageError(`Invalid format on line ${line[1]} of table ${where}.\n${line[2]}`);
  }
}

function create(mapper: DeviceMapper, given: Given, input: DmsetupInput): string {
  const { operands, flags, values } = given;
  const [name] = operands;
  if (name === undefined) throw new UsageError("Command requires a device name.");
  const lines = flags.has("notable") ? undefined : tableOf(given, input);
  const readOnly = flags.has("readonly");
  const uuid = values.get("uuid") ?? "";
  const minor = unsigned(values.get("minor"));
  const dax = values.get("dax") === "never" ? "never" : "auto";
  const options: CreateOptions = { uuid, dax, ...(minor === undefined ? {} : { minor }) };
  const device = ioctl("create", `${name} ${uuid}`, () => mapper.create(name, undefined, options));
  if (lines === undefined) return "";
  const { major } = device.number;
  const shown = `${name} ${uuid === "" ? "" : `${uuid} `}(${major}:${device.number.minor})`;
  try {
    if (lines.length > 0) ioctl("reload", shown, () => device.load(lines, readOnly));
    ioctl("resume", shown, () => device.resume());
  } catch (error) {
    mapper.remove(name);
    throw error;
  }
  return "";
}

function load(mapper: DeviceMapper, given: Given, input: DmsetupInput): string {
  const lines = tableOf(given, input);
  const device = deviceOf(mapper, given, "reload");
  ioctl("reload", told(given), () => device.load(lines, given.flags.has("readonly")));
  return "";
}

function suspend(mapper: DeviceMapper, given: Given): string {
  const device = deviceOf(mapper, given, "suspend");
  const options = { noflush: given.flags.has("noflush"), nolockfs: given.flags.has("nolockfs") };
  ioctl("suspend", told(given), () => device.suspend(options));
  return "";
}

function resume(mapper: DeviceMapper, given: Given): string {
  const device = deviceOf(mapper, given, "resume");
  const options = { noflush: given.flags.has("noflush"), nolockfs: given.flags.has("nolockfs") };
  ioctl("resume", told(given), () => device.resume(options));
  return "";
}

function remove(mapper: DeviceMapper, given: Given): string {
  const device = deviceOf(mapper, given, "remove");
  const options = { deferred: given.flags.has("deferred") };
  ioctl("remove", told(given), () => mapper.remove(device.name, options));
  return "";
}

function rename(mapper: DeviceMapper, given: Given): string {
  const device = deviceOf(mapper, given, "rename");
  const to = behind(given).at(-1) ?? "";
  ioctl("rename", told(given), () => {
    if (given.flags.has("setuuid")) mapper.setUuid(device.name, to);
    else mapper.rename(device.name, to);
  });
  return "";
}

function message(mapper: DeviceMapper, given: Given): string {
  const device = deviceOf(mapper, given, "message");
  const [sector, ...words] = behind(given);
  const at = unsigned(sector);
  if (at === undefined) throw new UsageError("invalid sector");
  const answer = ioctl("message", told(given), () => device.message(at, words.join(" ")));
  return answer === undefined ? "" : `${answer}\n`;
}

/** Waits until the device has seen other events than so many; 0 unless given. */
function wait(mapper: DeviceMapper, given: Given): string {
  const device = deviceOf(mapper, given, "waitevent");
  const [word] = behind(given);
  const seen = word === undefined ? 0 : unsigned(word);
  if (seen === undefined) throw new UsageError("invalid event_nr");
  if (device.events === seen) throw new StillWaiting(device);
  return given.flags.has("verbose") ? infoText(device) : "";
}

/** Puts the target error in the place of the whole table. */
function wipe(mapper: DeviceMapper, given: Given): string {
  const device = deviceOf(mapper, given, "wipe_table");
  const { sectors, readOnly } = device;
  if (sectors === 0) return "";
  const line = { start: 0, length: sectors, target: "error", parameters: "" };
  ioctl("reload", told(given), () => device.load([line], readOnly));
  ioctl("resume", told(given), () => device.resume({ noflush: given.flags.has("noflush") }));
  return "";
}

/** A report of one device; of several, or of all of them, with their names in front. */
function report(text: (device: MappedDevice, given: Given) => string): Verb {
  return (mapper, given) => {
    const named = (device: MappedDevice): string =>
      text(device, given).replaceAll(/^(?=.)|^(?=\n$)/gmu, () => `${device.name}: `);
    if (given.operands.length > 0 || isByOption(given)) {
      const device = deviceOf(mapper, given, given.verb);
      return given.several === true ? named(device) : text(device, given);
    }
    if (mapper.devices.length === 0) return "No devices found\n";
    return byName(mapper).map(named).join("");
  };
}

function info(mapper: DeviceMapper, given: Given): string {
  const runs: Given[] = given.operands.map((name) => ({ ...given, operands: [name] }));
  if (isByOption(given)) runs.push(given);
  const chosen = runs.map((each) => deviceOf(mapper, each, "info"));
  const devices = chosen.length > 0 ? chosen : byName(mapper);
  if (devices.length === 0) return "No devices found\n";
  if (!given.flags.has("columns")) return devices.map((device) => infoText(device)).join("");
  return infoColumns(devices, given.values.get("options"), given.flags.has("noheadings"));
}

/** Every command by name. */
export const VERBS: ReadonlyMap<string, Verb> = new Map<string, Verb>([
  ["create", create],
  ["load", load],
  ["reload", load],
  ["suspend", suspend],
  ["resume", resume],
  [
    "clear",
    (mapper, given) => {
      deviceOf(mapper, given, "clear").clear();
      return "";
    },
  ],
  ["remove", remove],
  [
    "remove_all",
    (mapper) => {
      mapper.removeAll();
      return "";
    },
  ],
  ["rename", rename],
  ["message", message],
  ["wait", wait],
  ["wipe_table", wipe],
  // Names are there as soon as devices are.
  ["mknodes", () => ""],
  [
    "table",
    report((device, { flags, values }) =>
      tableText(device, { inactive: flags.has("inactive"), target: values.get("target") }),
    ),
  ],
  ["status", report((device, { values }) => statusText(device, values.get("target")))],
  ["info", info],
  ["deps", report((device, { values }) => depsText(device, values.get("options") === "devname"))],
  [
    "ls",
    (mapper, { flags, values }) =>
      flags.has("tree") ? treeText(mapper) : listText(mapper, values.get("target")),
  ],
  ["targets", () => targetsText()],
  ["version", () => `Library version:   ${VERSIONS[0]}\nDriver version:    ${VERSIONS[1]}\n`],
]);
