/**
 * Commands of dmsetup that take tables: create, also of several devices at once, and load.
 *
 * @module
 */
import { DaxError, isDaxError } from "../lib/errno.ts";
import type { CreateOptions, DeviceMapper } from "./device-mapper.ts";
import { deviceOf, digits, numberOf, told } from "./dmsetup-devices.ts";
import { type DmsetupInput, ioctl } from "./dmsetup-ioctl.ts";
import { type Given, tableFile, UsageError } from "./dmsetup-options.ts";
import { mangled, newName, unmangled } from "./mangling.ts";
import type { MappedDevice } from "./mapped-device.ts";
import { infoText } from "./reports.ts";
import { parseTable, type TableLine } from "./words.ts";

/** What is to be made. */
interface Wanted {
  readonly name: string;
  readonly uuid: string;
  readonly major: number | undefined;
  readonly minor: number | undefined;
  readonly readOnly: boolean;
  readonly dax: "auto" | "never";
  /** Undefined: none. */
  readonly lines: readonly TableLine[] | undefined;
  readonly readAhead: string | undefined;
}

/** `create`. @throws UsageError */
export function create(mapper: DeviceMapper, given: Given, input: DmsetupInput): string {
  const { operands, flags, values } = given;
  if (flags.has("concise")) return createAll(mapper, given, input);
  const [name] = operands;
  if (name === undefined) throw new UsageError("Please provide a name for the new device.");
  const lines = tableOf(given, input);
  const [major, minor] = numberOf(given) ?? [];
  const device = make(mapper, {
    name,
    uuid: values.get("uuid") ?? "",
    major,
    minor,
    readOnly: flags.has("readonly"),
    dax: values.get("dax") === "never" ? "never" : "auto",
    lines,
    readAhead: values.get("readahead"),
  });
  return flags.has("verbose") ? infoText(device) : "";
}

/** A table that is refused leaves no device. */
function make(mapper: DeviceMapper, wanted: Wanted): MappedDevice {
  const { lines, minor, dax, readOnly } = wanted;
  const [name, uuid] = [newName(wanted.name), unmangled(wanted.uuid, "uuid")];
  const options: CreateOptions = { uuid, dax, ...(minor === undefined ? {} : { minor }) };
  const named = `${mangled(name)} ${mangled(uuid)}`;
  const { major = mapper.major } = wanted;
  if (major !== mapper.major) {
    ioctl("create", `${named}(${major}:${minor})`, () => {
      const detail = `mapped devices have the major ${mapper.major}`;
      throw new DaxError("ENXIO", { syscall: "dmsetup", path: name, detail });
    });
  }
  const device = ioctl("create", named, () => mapper.create(name, undefined, options));
  setReadAhead(device, wanted.readAhead);
  if (lines === undefined) return device;
  const number = `(${device.number.major}:${device.number.minor})`;
  const shown = `${named}${uuid === "" ? "" : " "}${number}`;
  try {
    if (lines.length > 0) ioctl("reload", shown, () => device.load(lines, readOnly));
    ioctl("resume", shown, () => device.resume());
  } catch (error) {
    mapper.remove(name);
    throw error;
  }
  return device;
}

/** As `--readahead` says: sectors, no less than so many, `none`, or as the kernel has it. */
export function setReadAhead(device: MappedDevice, word: string | undefined): void {
  if (word === undefined) return;
  if (word === "none") device.readAhead = 0;
  else if (/^\+?\d/u.test(word)) {
    const sectors = digits(word);
    device.readAhead = word.startsWith("+") ? Math.max(device.readAhead, sectors) : sectors;
  }
}

/** `load` and `reload`. @throws UsageError */
export function load(mapper: DeviceMapper, given: Given, input: DmsetupInput): string {
  if (tableFile(given) === "none" && !given.values.has("table")) {
    throw new UsageError("Please specify device.");
  }
  const lines = tableOf(given, input) ?? [];
  const device = deviceOf(mapper, given, "reload");
  ioctl("reload", told(given), () => device.load(lines, given.flags.has("readonly")));
  return "";
}

function tableOf(given: Given, input: DmsetupInput): TableLine[] | undefined {
  const text = given.values.get("table");
  if (text !== undefined) return parse(text, "");
  const source = tableFile(given);
  if (source === "none") return undefined;
  return parse(readText(source.file, input), source.file ?? "<stdin>");
}

function readText(file: string | undefined, { read }: DmsetupInput): string {
  if (read === undefined) throw new UsageError("a table is given with --table");
  try {
    return read(file);
  } catch (error) {
    if (!isDaxError(error) || file === undefined) throw error;
    throw new UsageError(`Couldn't open '${file}' for reading.\n${error.detail ?? error.message}`);
  }
}

function parse(text: string, where: string): TableLine[] {
  try {
    return parseTable(text);
  } catch (error) {
    const detail = isDaxError(error) ? error.detail : undefined;
    if (detail?.startsWith("Target type name") === true) throw new UsageError(detail);
    const line = /on line (\d+) of table: (.*)/u.exec(detail ?? "");
    if (line === null) throw error;
    throw new UsageError(`Invalid format on line ${line[1]} of table ${where}.\n${line[2]}`);
  }
}

/** `create --concise`: `NAME,UUID,MINOR,FLAGS,TABLE[,TABLE]...[;...]` */
function createAll(mapper: DeviceMapper, given: Given, input: DmsetupInput): string {
  const { operands, flags, values } = given;
  if (flags.has("notable") || flags.has("inactive") || "table uuid minor".split(" ").some(has)) {
    throw new UsageError(
      "--concise is incompatible with --[no]table, --minor, --uuid and --inactive.",
    );
  }
  function has(option: string): boolean {
    return values.has(option);
  }
  if (operands.length > 1) {
    throw new UsageError("dmsetup create --concise takes at most one argument");
  }
  const text = operands[0] ?? readText(undefined, input);
  for (const fields of entriesOf(text.trimEnd())) {
    make(mapper, wantedOf(fields, flags.has("readonly")));
  }
  return "";
}

/** Fields of each device; a backslash takes the next character as it is. */
function entriesOf(text: string): string[][] {
  const entries: string[][] = [];
  let fields: string[] = [""];
  for (const [piece] of text.matchAll(/\\[\s\S]|[,;]|[^\\,;]+/gu)) {
    if (piece === ";") {
      entries.push(fields);
      fields = [""];
    } else if (piece === ",") fields.push("");
    else fields.push((fields.pop() ?? "") + piece.replace(/^\\/u, ""));
  }
  if (fields.length > 1 || fields[0] !== "") entries.push(fields);
  return entries;
}

function wantedOf(given: readonly string[], readOnly: boolean): Wanted {
  const [name = "", uuid, minor, flags, ...table] = given.map((field) => field.trimStart());
  if (uuid === undefined || table.every((line) => line === "")) {
    const few = "five comma-separated fields are required for each device";
    const shown = [name, uuid, minor, flags, table[0]].map((field) => field ?? "(null)");
    const [one, two, three, four, five] = shown;
    const why = uuid === undefined ? "Five" + few.slice(4) : `Incomplete entry: ${few}`;
    throw new UsageError(
      `${why}\nParsed ${given.length} fields: name: ${one} uuid: ${two} minor: ${three} ` +
        `flags: ${four} table: ${five}`,
    );
  }
  if (flags !== "ro" && flags !== "rw" && flags !== "") {
    throw new UsageError(`Invalid flags parameter '${flags}' must be 'ro' or 'rw' or empty.`);
  }
  return {
    name,
    uuid,
    major: undefined,
    minor: minor === undefined || minor === "" ? undefined : digits(minor),
    readOnly: readOnly || flags === "ro",
    dax: "auto",
    lines: parse(table.join("\n"), ""),
    readAhead: undefined,
  };
}
