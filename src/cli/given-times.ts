/**
 * Times as `touch` is given them, in the time zone of this machine unless they name one.
 *
 * A time is read strictly: `Date.parse` takes 30 February for 1 March, and finds a year in any
 * words with a number behind them.
 *
 * @module
 */
import type { Timespec } from "../lib/environment.ts";
import { UsageError } from "./command.ts";

const SECONDS = /^@(-?\d{1,11})(?:\.(\d{1,9}))?$/u;
const CLOCK = String.raw`(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?`;
const ZONE = String.raw`Z|UTC|[+-]\d\d(?::?\d\d)?`;
const ISO = new RegExp(String.raw`^(\d{4})-(\d\d)-(\d\d)(?:[T ]${CLOCK}(?: ?(${ZONE}))?)?$`, "u");
const MINUTE = 60_000;

/** `@SECONDS`, or `2024-02-29 12:00:00.5 +0100`, of which the day is enough. @throws UsageError */
export function dateTime(text: string): Timespec {
  const seconds = SECONDS.exec(text);
  if (seconds !== null) {
    const [, whole, fraction] = seconds;
    const nsec = nanoseconds(fraction);
    // What is behind the point goes the way that the sign says: -1.5 is half a second before -1.
    if (!whole?.startsWith("-") || nsec === 0) return { sec: Number(whole), nsec };
    return { sec: Number(whole) - 1, nsec: 1e9 - nsec };
  }
  const match = ISO.exec(text);
  const [, year, month, day, hour, minute, second, fraction, zone] = match ?? [];
  const clock = [year, month, day, hour, minute, second].map((part) => Number(part ?? 0));
  const milliseconds = match === null ? undefined : instant(clock, zone);
  if (milliseconds === undefined) {
    throw new UsageError(`invalid date '${text}'; write 2024-02-29T12:00:00Z or @1709208000`);
  }
  return { sec: milliseconds / 1000, nsec: nanoseconds(fraction) };
}

/** `[[CC]YY]MMDDhhmm[.ss]`. @throws UsageError */
export function stampTime(text: string): Timespec {
  const match = /^(\d\d)?(\d\d)?(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d\d))?$/u.exec(text);
  const [, first, second, ...rest] = match ?? [];
  const year = stampYear(first, second);
  const milliseconds =
    match === null ? undefined : instant([year, ...rest.map((part) => Number(part ?? 0))]);
  if (milliseconds !== undefined) return { sec: milliseconds / 1000, nsec: 0 };
  throw new UsageError(`invalid date format '${text}'; write [[CC]YY]MMDDhhmm[.ss]`);
}

/** Two digits alone are a year: from 69 on of the last century. */
function stampYear(first: string | undefined, second: string | undefined): number {
  if (first === undefined) return new Date().getFullYear();
  const short = Number(first);
  if (second !== undefined) return short * 100 + Number(second);
  return short + (short < 69 ? 2000 : 1900);
}

/** Milliseconds since 1970 of year, month, day, hour, minute, second; undefined for none. */
function instant(clock: readonly number[], zone?: string): number | undefined {
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = clock;
  // One second more is a leap second, which counts as the next.
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  if (zone !== undefined) {
    return date.setUTCHours(hour, minute, second) - minutesEast(zone) * MINUTE;
  }
  const local = new Date(0);
  local.setFullYear(year, month - 1, day);
  return local.setHours(hour, minute, second, 0);
}

function minutesEast(zone: string): number {
  const [, sign, hours = 0, minutes = 0] = /^([+-])(\d\d):?(\d\d)?$/u.exec(zone) ?? [];
  return (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes));
}

function nanoseconds(fraction = ""): number {
  return Number(fraction.padEnd(9, "0"));
}
