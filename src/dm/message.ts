/**
 * Messages: words that are handed to the target which serves a sector.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { Table } from "./table.ts";
import type { MessageAnswer } from "./target.ts";
import { splitArguments } from "./words.ts";

/**
 * Hands `text` to the target at `sector` of a device's live table.
 * @throws EINVAL for a sector behind the end, and for what the target does not know
 */
export function sendMessage(
  { name, active }: { readonly name: string; readonly active: Table | undefined },
  sector: number,
  text: string,
): MessageAnswer {
  const words = splitArguments(text);
  const refuse = (error: string, cause: string): never => {
    const detail = `device-mapper: ioctl: ${error}; ${cause}`;
    throw new DaxError("EINVAL", { syscall: "message", path: name, detail });
  };
  if (words.length === 0) refuse("Empty message received.", "a message has at least one word");
  const [first = ""] = words;
  if (first.startsWith("@")) {
    refuse(`Unsupported message sent to DM core: ${first}`, "no device here takes it");
  }
  const sectors = active?.sectors ?? 0;
  if (active === undefined || !(Number.isInteger(sector) && sector >= 0 && sector < sectors)) {
    return refuse("Target message sector outside device.", `sector ${sector} of ${sectors}`);
  }
  const { target, type } = active.at(sector);
  if (target.message === undefined) {
    return refuse("Target type does not support messages", `${type.name} at sector ${sector}`);
  }
  return target.message(words);
}
