/**
 * Making a table of its lines, with the checks of the kernel's `dm_table_add_target` and
 * `dm_table_complete`, in their order and in their words; the cause stands behind them.
 *
 * @module
 */
import { type BlockDevice, type DeviceUser, SECTOR_SIZE } from "../block/block-device.ts";
import type { Environment } from "../lib/environment.ts";
import { DaxError, type ErrnoCode, isDaxError } from "../lib/errno.ts";
import { surely } from "../lib/for-every.ts";
import { assertNoLoop } from "./below.ts";
import type { DeviceLookup, KnownDevice } from "./device-directory.ts";
import { Leg } from "./leg.ts";
import type { FailureListener } from "../dax/media-failures.ts";
import { type Placed, Table } from "./table.ts";
import type { Target, TargetContext, TargetType } from "./target.ts";
import { MOST_SECTORS, splitArguments, type TableLine } from "./words.ts";

/** What a table is made in. */
export interface LoadContext {
  /** The mapped device that it is for. */
  readonly owner: BlockDevice;
  /** `253:0`. */
  readonly number: string;
  readonly readOnly: boolean;
  readonly devices: DeviceLookup;
  /** Every mapped device: what may stand on the owner. */
  readonly all: () => Iterable<BlockDevice>;
  readonly types: ReadonlyMap<string, TargetType>;
  readonly environment: Environment;
  readonly wait: (milliseconds: number) => void;
  readonly event: () => void;
  readonly failed: FailureListener;
  /** The mapped device, as who stands on its legs: it stands still when one of them does. */
  readonly user: DeviceUser;
}

/**
 * Makes a table of at least one line. When a line is refused, everything that the lines before it
 * opened is closed.
 * @throws EINVAL and what targets throw, always as an error of `load`
 */
export function loadTable(lines: readonly TableLine[], context: LoadContext): Table {
  if (lines.length === 0) {
    const detail = "device-mapper: ioctl: populate_table: no targets specified; the table is empty";
    throw new DaxError("EINVAL", { syscall: "load", path: context.owner.name, detail });
  }
  const legs: Leg[] = [];
  const placed: Placed[] = [];
  try {
    for (const line of lines) placed.push(place(line, placed, legs, context));
    checkAreas(placed, context);
    return new Table(placed, legs, context.readOnly);
  } catch (error) {
    surely(placed, ({ target }) => target.destroy?.());
    surely(legs, (leg) => leg.close());
    throw error;
  }
}

/** What a device without a table says to `resume`, once it was suspended. */
export function noTable(path: string): DaxError {
  return new DaxError("EINVAL", { syscall: "resume", path, detail: "it has no table; load one" });
}

function place(
  line: TableLine,
  before: readonly Placed[],
  legs: Leg[],
  context: LoadContext,
): Placed {
  const { start: begin, length } = line;
  const type = typeOf(line, before, context);
  const last = before.at(-1);
  const expected = last === undefined ? 0 : last.begin + last.length;
  if (begin !== expected) {
    const cause = `the line begins at sector ${begin}, and the one before it ends at ${expected}`;
    refuse(context, "EINVAL", `${line.target}: Gap in table (-EINVAL)`, cause);
  }
  const words = splitArguments(line.parameters);
  const target: Target = type.make(words, targetContext(line, legs, context));
  return { type, target, begin, length };
}

function typeOf(
  { start, length, target }: TableLine,
  before: readonly Placed[],
  context: LoadContext,
): TargetType {
  if (before[0]?.type.singleton === true) {
    refuse(context, "EINVAL", `${before[0].type.name}: can't have more than one target`, "");
  }
  if (length === 0) refuse(context, "EINVAL", "zero-length target", `${target} at sector ${start}`);
  if (!(start + length <= MOST_SECTORS)) {
    const cause = `${target} reaches beyond sector ${MOST_SECTORS}`;
    refuse(context, "EINVAL", "too large device", cause);
  }
  const type = context.types.get(target);
  if (type === undefined) {
    const cause = `there are ${[...context.types.keys()].join(", ")}`;
    return refuse(context, "EINVAL", `${target}: unknown target type`, cause);
  }
  if (type.singleton === true && before.length > 0) {
    refuse(context, "EINVAL", `${target}: must appear alone in table`, "");
  }
  return type;
}

function targetContext(line: TableLine, legs: Leg[], context: LoadContext): TargetContext {
  const { owner, readOnly, environment, wait, event } = context;
  const refuseTarget = (code: ErrnoCode, error: string, cause: string): never =>
    refuse(context, code, `${line.target}: ${error} (-${code})`, cause);
  return {
    name: owner.name,
    begin: line.start,
    length: line.length,
    readOnly,
    environment,
    wait,
    event,
    open: (word, error) => openLeg(word, error, legs, context, refuseTarget),
    refuse: refuseTarget,
  };
}

/** A device is opened once for all targets of a table. */
function openLeg(
  word: string | undefined,
  error: string,
  legs: Leg[],
  context: LoadContext,
  refuseTarget: TargetContext["refuse"],
): Leg {
  const known = lookUp(word, error, context, refuseTarget);
  const open = legs.find((leg) => leg.known.device === known.device);
  if (open !== undefined) return open;
  if (known.device.readOnly && !context.readOnly) {
    refuseTarget("EACCES", error, `${known.name} is read-only; load the table read-only too`);
  }
  try {
    assertNoLoop(context.owner, known.device, context.all());
    const leg = new Leg(known, context.failed, context.user);
    legs.push(leg);
    return leg;
  } catch (cause) {
    if (!isDaxError(cause)) throw cause;
    return refuseTarget(cause.code, error, cause.detail ?? cause.message);
  }
}

/** A device that is there and cannot be opened says why. */
function lookUp(
  word: string | undefined,
  error: string,
  { devices }: LoadContext,
  refuseTarget: TargetContext["refuse"],
): KnownDevice {
  try {
    // A number may have zeros in front, and an offset behind it that means nothing.
    const number = /^(\d{1,9}):(\d{1,9})(?::\d+)?$/u.exec(word ?? "");
    const name = number === null ? word : `${Number(number[1])}:${Number(number[2])}`;
    const known = name === undefined ? undefined : devices.find(name);
    if (known !== undefined) return known;
  } catch (cause) {
    if (!isDaxError(cause)) throw cause;
    return refuseTarget(cause.code, error, cause.message);
  }
  return refuseTarget("ENODEV", error, `there is no device "${word ?? ""}"`);
}

/** As `device_area_is_invalid` of the kernel: each leg has the sectors that are used of it. */
function checkAreas(placed: readonly Placed[], context: LoadContext): void {
  for (const { type, target } of placed) {
    for (const [index, { leg, start, sectors }] of target.uses.entries()) {
      const { name, sectors: opened, limits } = leg.device;
      const size = Math.min(opened, leg.known.present?.() ?? opened);
      // What the target counts in holds for its data: for what it uses first.
      const least = Math.max(limits.logicalBlockSize, index === 0 ? (target.blockSize ?? 0) : 0);
      const block = least / SECTOR_SIZE;
      if (start + sectors > size) {
        const area = `start=${start}, len=${sectors}, dev_size=${size}`;
        const error = `${name} too small for target: ${area}`;
        refuse(context, "EINVAL", error, `${type.name} reaches beyond its end`);
      }
      if (start % block !== 0 || sectors % block !== 0) {
        const what = start % block === 0 ? `len=${sectors}` : `start=${start}`;
        const error = `${what} not aligned to h/w logical block size ${least} of ${name}`;
        refuse(context, "EINVAL", error, `${type.name} counts in sectors of ${SECTOR_SIZE} bytes`);
      }
    }
  }
}

function refuse(
  { owner, number }: LoadContext,
  code: ErrnoCode,
  error: string,
  why: string,
): never {
  throw new DaxError(code, {
    syscall: "load",
    path: owner.name,
    detail: `device-mapper: table: ${number}: ${error}${why === "" ? "" : `; ${why}`}`,
  });
}
