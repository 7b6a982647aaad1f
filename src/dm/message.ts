/**
 * Messages: words for the target which serves a sector, or with an `@` for device-mapper itself.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { Table } from "./table.ts";
import type { MessageAnswer } from "./target.ts";
import { splitArguments } from "./words.ts";

/**
 * Hands `text` to the target at `sector` of a device's live table.
 * @throws EINVAL for a sector behind the end, and for what nobody knows
 */
export function sendMessage(
  device: { readonly name: string; readonly active: Table | undefined; deferred: boolean },
  sector: number,
  text: string,
): MessageAnswer {
  const { name, active } = device;
  const words = splitArguments(text);
  const refuse = (error: string, cause: string): never => {
    const detail = `device-mapper: ioctl: ${error}; ${cause}`;
    throw new DaxError("EINVAL", { syscall: "message", path: name, detail });
  };
  const [first] = words;
  if (first === undefined) return refuse("Empty message received.", "one has at least one word");
  if (active === undefined) return refuse("The device has no table.", "load one, and resume it");
  if (first.startsWith("@")) {
    if (first.toLowerCase() !== "@cancel_deferred_remove") {
      refuse(`Unsupported message sent to DM core: ${first}`, "no device here takes it");
    }
    if (words.length > 1) refuse("Invalid arguments for @cancel_deferred_remove", "it has none");
    device.deferred = false;
    return undefined;
  }
  const { sectors } = active;
  if (!(Number.isInteger(sector) && sector >= 0 && sector < sectors)) {
    return refuse("Target message sector outside device.", `sector ${sector} of ${sectors}`);
  }
  const { target, type } = active.at(sector);
  if (target.message === undefined) {
    return refuse("Target type does not support messages", `${type.name} at sector ${sector}`);
  }
  return target.message(words);
}
