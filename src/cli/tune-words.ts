/**
 * How tune2fs writes counts and times.
 *
 * @module
 */
import { UsageError } from "./command.ts";

const DAY = 86_400;
const UNITS: Readonly<Record<string, number>> = { s: 1, d: DAY, w: 7 * DAY, m: 30 * DAY };

/** A number of mounts; -1 for never, and `random` for some number from 20. @throws UsageError */
export function mountCount(text: string, option: string): number {
  if (option === "-c" && text === "-1") return -1;
  if (option === "-c" && text === "random") return 20 + Math.floor(Math.random() * 20);
  if (/^\d{1,5}$/u.test(text) && Number(text) <= 16_000) return Number(text);
  throw new UsageError(`option '${option}' is '${text}'; write a number from 0 to 16000`);
}

/** Seconds of `10d`, `2w`, `6m`, `90s`; days without a letter. @throws UsageError */
export function checkInterval(text: string): number {
  const match = /^(\d{1,10})([sdwm]?)$/iu.exec(text);
  if (match === null) {
    throw new UsageError(`option '-i' is '${text}'; write days, or a number with s, d, w or m`);
  }
  const [, digits, unit = ""] = match;
  const seconds = Number(digits) * (UNITS[unit.toLowerCase() || "d"] as number);
  if (seconds < 2 ** 32) return seconds;
  throw new UsageError(`option '-i' is '${text}'; that is above ${2 ** 32 - 1} seconds`);
}

/** Seconds since 1970 of `YYYYMMDD[HH[MM[SS]]]` in this time zone, or `now`. @throws UsageError */
export function checkDate(text: string, now: number): number {
  if (text === "now") return now;
  const match = /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(?:(\d\d)(\d\d)?)?)?$/u.exec(text);
  const [year, month, day, hour, minute, second] = (match ?? [])
    .slice(1)
    .map((one) => Number(one ?? 0));
  const date = new Date(year ?? 0, (month ?? 0) - 1, day, hour, minute, second);
  const held = date.getMonth() + 1 === month && date.getDate() === day && date.getTime() >= 0;
  if (match !== null && held && (hour ?? 0) < 24) return Math.floor(date.getTime() / 1000);
  throw new UsageError(`option '-T' is '${text}'; write YYYYMMDD[HH[MM[SS]]] or now`);
}
