/**
 * Time and randomness of commands that write filesystems.
 *
 * @module
 */
import type { Environment } from "../lib/environment.ts";
import { UsageError } from "./command.ts";

/**
 * That of a seed, or the system's; then SOURCE_DATE_EPOCH is the time, where it is set.
 * @throws UsageError for a SOURCE_DATE_EPOCH that is no number
 */
export async function environmentOf(seed?: number): Promise<Environment> {
  const [{ systemEnvironment }, { seededEnvironment }] = await Promise.all([
    import("../node/environment.ts"),
    import("../lib/environment.ts"),
  ]);
  if (seed !== undefined) return seededEnvironment(seed);
  const epoch = process.env["SOURCE_DATE_EPOCH"] ?? "";
  if (epoch === "") return systemEnvironment;
  // Another time than the one asked for would pass unnoticed.
  if (!/^\d{1,15}$/u.test(epoch)) {
    throw new UsageError(`SOURCE_DATE_EPOCH is '${epoch.slice(0, 40)}'; write seconds since 1970`);
  }
  return { ...systemEnvironment, clock: { now: () => ({ sec: Number(epoch), nsec: 0 }) } };
}
