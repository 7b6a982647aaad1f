/**
 * The devices of device-mapper that a machine has: the `dm` key of its description.
 *
 * @module
 */
import { isDaxError } from "../lib/errno.ts";
import { parseTable } from "../dm/words.ts";
import {
  DescriptionError,
  type KeyPath,
  type Read,
  type Reader,
  flag,
  listOf,
  object,
  oneOf,
  refuse,
  text,
} from "./shape.ts";

/** A mapped device; whether its table fits shows when it is made. */
export interface DmDescription {
  readonly name: string;
  /** Lines of dmsetup's. */
  readonly table: string;
  readonly uuid: string;
  readonly readOnly: boolean;
  readonly dax: "auto" | "never";
}

/** Characters of a table: a million lines are dmsetup's affair. */
const LONGEST_TABLE = 1 << 20;

const mapped = {
  name: text,
  table: readTable,
  uuid: text,
  readOnly: flag,
  dax: oneOf<DmDescription["dax"]>("auto", "never"),
} as const;

/** The reader of the key. */
export const MAPPED_KEY = { dm: listOf(object(mapped)) } as const;

/** Checks and completes the devices. @throws DescriptionError */
export function readMapped(given: readonly Read<typeof mapped>[] = []): DmDescription[] {
  const names = new Set<string>();
  return given.map(({ name, table, uuid = "", readOnly = false, dax = "auto" }, i) => {
    const path = ["dm", i];
    if (name === undefined || table === undefined) {
      throw new DescriptionError(path, " needs a name and a table");
    }
    if (names.has(name)) {
      throw new DescriptionError(
        [...path, "name"],
        ` is ${JSON.stringify(name)}, as an earlier one`,
      );
    }
    names.add(name);
    return { name, table, uuid, readOnly, dax };
  });
}

const line: Reader<string> = (each, at) =>
  typeof each === "string" ? each : refuse(at, each, "a line such as 0 2048 linear pmem0 0");

/** A table in a text of several lines, or a list of them. @throws DescriptionError */
function readTable(value: unknown, path: KeyPath): string {
  const table = listOf(line)(value, path).join("\n");
  if (table.length > LONGEST_TABLE) {
    throw new DescriptionError(path, ` is longer than ${LONGEST_TABLE} characters`);
  }
  try {
    parseTable(table);
  } catch (error) {
    if (!isDaxError(error)) throw error;
    throw new DescriptionError(path, `: ${error.detail ?? error.message}`);
  }
  return table;
}
