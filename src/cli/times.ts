/**
 * Times as `ls`, `stat` and JSON write them, in the time zone of this machine.
 *
 * @module
 */
import type { Timespec } from "../lib/environment.ts";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Half a year of 365.2425 days, in seconds: what `ls` calls recent. */
const RECENT = 15_778_476;

/** `Nov 21 10:08`, or `Nov 21  2024` for what is not of the last half year. */
export function listTime(time: Timespec, now: Timespec): string {
  const date = new Date(time.sec * 1000);
  const day = `${MONTHS[date.getMonth()]} ${String(date.getDate()).padStart(2)}`;
  const age = now.sec - time.sec;
  const recent = age < RECENT && (age > 0 || (age === 0 && time.nsec <= now.nsec));
  if (!recent) return `${day}  ${date.getFullYear()}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** `2024-11-21 10:08:01.000000000 +0100` */
export function fullTime(time: Timespec): string {
  const date = new Date(time.sec * 1000);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  const east = -date.getTimezoneOffset();
  const zone = `${two(Math.floor(Math.abs(east) / 60))}${two(Math.abs(east) % 60)}`;
  return `${day} ${clock}.${nanoseconds(time)} ${east < 0 ? "-" : "+"}${zone}`;
}

/** `2024-11-21T09:08:01.000000000Z` */
export function isoTime(time: Timespec): string {
  const whole = new Date(time.sec * 1000).toISOString().replace(/\.\d+Z$/u, "");
  return `${whole}.${nanoseconds(time)}Z`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

function nanoseconds({ nsec }: Timespec): string {
  return String(nsec).padStart(9, "0");
}
