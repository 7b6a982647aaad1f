/**
 * The commands of dmsetup.
 *
 * @module
 */
import type { DeviceMapper } from "./device-mapper.ts";
import { create, load, setReadAhead } from "./dmsetup-create.ts";
import { behind, deviceOf, digits, lookUp, missing, told } from "./dmsetup-devices.ts";
import { type DmsetupInput, ioctl } from "./dmsetup-ioctl.ts";
import { type Given, isByOption, shownAs, StillWaiting, UsageError } from "./dmsetup-options.ts";
import { INFO_FIELDS, INFO_GROUPS, type InfoRow, USUAL_FIELDS } from "./info-fields.ts";
import { mangled, newName, unmangled } from "./mangling.ts";
import type { MappedDevice } from "./mapped-device.ts";
import { fieldsOf, layOut, layoutOf, sorted } from "./report-layout.ts";
import * as reports from "./reports.ts";
import { selection } from "./selection.ts";
import { splitNameText } from "./split-name.ts";
import { TARGET_TYPES } from "./target-types.ts";
import { byName, treeText } from "./tree-report.ts";

/** A command. */
interface Verb {
  readonly run: (mapper: DeviceMapper, given: Given, input: DmsetupInput) => string;
  /** Operands; any number unless given. */
  readonly least?: number;
  readonly most?: number;
}

/** Of libdevmapper, and of the kernel whose tables these are. */
const VERSIONS = ["1.02.185 (2022-05-18)", "4.47.0"] as const;

function suspend(mapper: DeviceMapper, given: Given): string {
  const device = deviceOf(mapper, given, "suspend");
  ioctl("suspend", told(given), () => device.suspend(gently(given)));
  return shownIfAsked(device, given);
}

function resume(mapper: DeviceMapper, given: Given): string {
  const device = deviceOf(mapper, given, "resume");
  ioctl("resume", told(given), () => device.resume(gently(given)));
  setReadAhead(device, given.values.get("readahead"));
  return shownIfAsked(device, given);
}

function gently({ flags }: Given): { readonly noflush: boolean; readonly nolockfs: boolean } {
  return { noflush: flags.has("noflush"), nolockfs: flags.has("nolockfs") };
}

function shownIfAsked(device: MappedDevice, { flags }: Given): string {
  return flags.has("verbose") ? reports.infoText(device) : "";
}

function clear(mapper: DeviceMapper, given: Given): string {
  deviceOf(mapper, given, "clear").clear();
  return "";
}

/** With `-f`, the target error first takes the place of a table that may be in use. */
function remove(mapper: DeviceMapper, given: Given): string {
  const device = lookUp(mapper, given);
  if (given.flags.has("force") && device !== undefined && device.sectors > 0) {
    refuseAll(device, given);
  }
  if (device === undefined) return missing(given, given.flags.has("force") ? "table" : "remove");
  const options = { deferred: given.flags.has("deferred") };
  ioctl("remove", told(given), () => mapper.remove(device.name, options));
  return "";
}

function rename(mapper: DeviceMapper, given: Given): string {
  const to = behind(given).at(-1);
  if (to === undefined) throw new UsageError("No device specified.");
  const setsUuid = given.flags.has("setuuid");
  if (!setsUuid && to === "") throw new UsageError("Non empty new name is required.");
  const name = setsUuid ? unmangled(to, "uuid") : newName(to);
  const device = lookUp(mapper, given);
  if (device === undefined) {
    const what = `${setsUuid ? "uuid " : ""}${mangled(name)}`;
    const words = `Unable to rename non-existent device, ${told(given).trim()} to ${what}`;
    return missing(given, "rename", `device-mapper: ioctl: ${words}`);
  }
  ioctl("rename", told(given), () => {
    if (setsUuid) mapper.setUuid(device.name, name);
    else mapper.rename(device.name, name);
  });
  return "";
}

function message(mapper: DeviceMapper, given: Given): string {
  const [sector, ...words] = behind(given);
  const at = sectorOf(sector);
  const device = deviceOf(mapper, given, "message");
  let answer: string | undefined;
  try {
    answer = ioctl("message", told(given), () => device.message(at, words.join(" ")));
  } catch (error) {
    if (!(error instanceof UsageError) || words.length > 0) throw error;
    throw new UsageError(`No message supplied.\n${error.message}`);
  }
  return answer === undefined ? "" : `${answer}\n`;
}

/** As `strtoull` reads it: what is too much is none, and below zero is far beyond all. */
function sectorOf(word = ""): number {
  const value = /^\s*[+-]?\d{1,4096}$/u.test(word) ? BigInt(word) : undefined;
  const isWhole = value !== undefined && value < 2n ** 64n && value > -(2n ** 64n);
  if (!isWhole) throw new UsageError("Invalid sector.");
  return Number(BigInt.asUintN(64, value));
}

/** Waits until the device has seen other events than so many; 0 unless given. */
function wait(mapper: DeviceMapper, given: Given): string {
  const device = deviceOf(mapper, given, "waitevent");
  const [word] = behind(given);
  if (device.events === digits(word ?? "")) throw new StillWaiting(device);
  return shownIfAsked(device, given);
}

function wipe(mapper: DeviceMapper, given: Given): string {
  const device = lookUp(mapper, given);
  if (device === undefined) return missing(given, "table");
  refuseAll(device, given);
  return "";
}

/** Puts the target error in the place of the whole table. */
function refuseAll(device: MappedDevice, given: Given): void {
  const { sectors, readOnly } = device;
  const line = { start: 0, length: sectors, target: "error", parameters: "" };
  ioctl("reload", told(given), () => device.load([line], readOnly));
  ioctl("resume", told(given), () => device.resume(gently(given)));
}

/** A report of one device; of several, or of all of them, with their names in front. */
function report(text: (device: MappedDevice, given: Given) => string, name?: string): Verb {
  return {
    run: (mapper, given) => {
      const named = (device: MappedDevice): string =>
        shownIfAsked(device, given) +
        text(device, given).replaceAll(/^(?=.)|^(?=\n$)/gmu, () => `${device.name}: `);
      if (given.operands.length > 0 || isByOption(given)) {
        const device = deviceOf(mapper, given, name ?? given.verb);
        if (given.several === true) return named(device);
        return shownIfAsked(device, given) + text(device, given);
      }
      if (mapper.devices.length === 0) return "No devices found\n";
      return byName(mapper).map(named).join("");
    },
  };
}

function choiceOf({ flags, values }: Given): reports.TableChoice {
  return { inactive: flags.has("inactive"), target: values.get("target") };
}

const TABLE = report((device, given) => reports.tableText(device, choiceOf(given)));

function table(mapper: DeviceMapper, given: Given, input: DmsetupInput): string {
  if (!given.flags.has("concise")) return TABLE.run(mapper, given, input);
  const devices = chosen(mapper, given).map((device) => device ?? missing(given, "table"));
  if (devices.length === 0) return "No devices found\n";
  return reports.conciseText(devices, choiceOf(given));
}

/** The devices that were named, or all of them. */
function chosen(mapper: DeviceMapper, given: Given): readonly (MappedDevice | undefined)[] {
  if (isByOption(given)) return [lookUp(mapper, given)];
  if (given.operands.length === 0) return byName(mapper);
  return given.operands.map((name) => lookUp(mapper, { ...given, operands: [name] }));
}

function info(mapper: DeviceMapper, given: Given): string {
  const found = chosen(mapper, given);
  if (found.length === 0) return "No devices found\n";
  const devices = found.filter((device) => device !== undefined);
  const text = given.flags.has("columns")
    ? columns(mapper, devices, given)
    : devices.map((device) => reports.infoText(device, choiceOf(given))).join("");
  if (devices.length === found.length) return text;
  throw new reports.PartError("Device does not exist.", devices.length === 0 ? "" : text);
}

/** Devices of which a field cannot be told are left out, and that is an error in the end. */
function columns(
  mapper: DeviceMapper,
  devices: readonly MappedDevice[],
  { flags, values }: Given,
): string {
  const fields = fieldsOf(values.get("options"), USUAL_FIELDS, INFO_FIELDS, INFO_GROUPS);
  const selected = selection(values.get("select") ?? "", INFO_FIELDS);
  const rows: InfoRow[] = [];
  let failure: UsageError | undefined;
  for (const device of devices) {
    const row = { device, mapper };
    try {
      for (const { cell } of fields) cell(row);
      if (selected(row)) rows.push(row);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      failure = error;
    }
  }
  const inOrder = sorted(rows, values.get("sort"), INFO_FIELDS);
  const text = layOut(fields, inOrder, layoutOf(flags, values));
  if (failure === undefined) return text;
  throw new reports.PartError(failure.message, text);
}

function list(mapper: DeviceMapper, given: Given): string {
  const { flags, values } = given;
  const target = values.get("target");
  if (target !== undefined || !flags.has("tree")) {
    return reports.listText(mapper, target, shownAs(given));
  }
  return treeText(mapper, new Set((values.get("options") ?? "").split(",")));
}

function targetVersion(_: DeviceMapper, given: Given): string {
  let text = "";
  for (const name of given.operands) {
    const type = TARGET_TYPES.get(name);
    if (type === undefined) {
      const failed = `device-mapper: target-version ioctl on ${name}  failed: Invalid argument`;
      throw new reports.PartError(failed, text);
    }
    text += reports.versionText(type);
  }
  return text;
}

/** Names are kept as people have them, and shown as udev would. */
function mangle(mapper: DeviceMapper, given: Given): string {
  const found = chosen(mapper, given);
  if (found.length === 0) return "No devices found\n";
  return found
    .map((device) => {
      if (device === undefined) throw new UsageError("Device does not exist.");
      const { name, uuid } = device;
      const what = uuid === "" ? "name" : "name and UUID";
      const shown = uuid === "" ? "[no UUID]" : mangled(uuid);
      return `${mangled(name)}: ${shown}: ${what} already in correct form\n`;
    })
    .join("");
}

const NOTHING = { most: 0 };

/** Every command by name. */
export const VERBS: ReadonlyMap<string, Verb> = new Map<string, Verb>([
  ["create", { run: create, most: 2 }],
  ["load", { run: load, most: 2 }],
  ["reload", { run: load, most: 2 }],
  ["suspend", { run: suspend }],
  ["resume", { run: resume }],
  ["clear", { run: clear }],
  ["remove", { run: remove }],
  ["remove_all", { run: removeAll, ...NOTHING }],
  ["rename", { run: rename, least: 1, most: 2 }],
  ["message", { run: message, least: 2 }],
  ["wait", { run: wait, most: 2 }],
  ["wipe_table", { run: wipe }],
  // Names are there as soon as devices are.
  ["mknodes", { run: () => "" }],
  ["mangle", { run: mangle }],
  ["table", { run: table }],
  ["status", report((device, given) => reports.statusText(device, choiceOf(given)))],
  ["info", { run: info }],
  ["deps", report((device, given) => reports.depsText(device, shownAs(given)))],
  ["ls", { run: list, ...NOTHING }],
  [
    "splitname",
    {
      run: (_, { operands, flags, values }) => splitNameText(operands, flags, values),
      least: 1,
      most: 2,
    },
  ],
  ["targets", { run: () => reports.targetsText(), ...NOTHING }],
  ["target-version", { run: targetVersion, least: 1 }],
  // What it shows comes with the command.
  ["help", { run: () => "", ...NOTHING }],
  ["version", { run: versions, ...NOTHING }],
]);

function removeAll(mapper: DeviceMapper): string {
  mapper.removeAll();
  return "";
}

function versions(): string {
  return `Library version:   ${VERSIONS[0]}\nDriver version:    ${VERSIONS[1]}\n`;
}

/** @throws UsageError for a command that there is not, and for too few or too many operands */
export function verbOf({ verb, operands }: Given): Verb {
  const found = VERBS.get(verb);
  if (found === undefined) {
    const known = [...VERBS.keys()].join(", ");
    throw new UsageError(`Unknown command.\n"${verb.slice(0, 200)}" is none of ${known}`);
  }
  const { least = 0, most = Infinity } = found;
  if (operands.length >= least && operands.length <= most) return found;
  const range = least === most ? String(least) : `${least} to ${most}`;
  const takes = most === Infinity ? `at least ${least}` : range;
  throw new UsageError(
    `Incorrect number of arguments.\n${verb} takes ${takes}, here are ${operands.length}`,
  );
}
