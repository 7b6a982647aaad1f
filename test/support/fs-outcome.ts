/** Runs the same call on two filesystems, in each flavour, and says what came of it. */
import type * as fs from "node:fs";
import { inspect } from "node:util";
import type { NodeFs } from "../../src/node/facade/facade.ts";

/** `node:fs` or something of its shape; calls are made by name. */
export type AnyFs = typeof fs | NodeFs | Readonly<Record<string, unknown>>;
type Call = (...args: unknown[]) => unknown;

export type Flavour = "sync" | "callback" | "promise";

/** What differs between two filesystems that hold the same files. */
const VARIES = new Set(["dev", "ino", "blksize", "blocks", "atime", "atimeMs", "atimeNs"]);
const VARIES_WITH_DIRECTORY = new Set(["size", "nlink"]);

function classOf(value: object): string {
  const prototype = Object.getPrototypeOf(value) as { constructor: { name: string } } | null;
  return prototype?.constructor.name ?? "none";
}

function statOf(value: fs.Stats): unknown {
  const directory = value.isDirectory();
  const members = Object.entries(value).map(([key, member]) => {
    const varies = VARIES.has(key) || (directory && VARIES_WITH_DIRECTORY.has(key));
    return `${key}: ${varies ? typeof member : inspect(member)}`;
  });
  const kinds = [value.isFile(), value.isSymbolicLink(), value.isFIFO(), directory];
  return [classOf(value), ...members, ...kinds];
}

/** A result as something that can be compared, whichever filesystem gave it. */
export function described(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return `buffer ${value.length} ${value.toString("latin1")}`;
  if (Array.isArray(value)) return value.map(described);
  if (value === null || typeof value !== "object") return value;
  if (/^(BigInt)?Stats$/u.test(classOf(value))) return statOf(value as fs.Stats);
  if (classOf(value) === "StatFs") return [classOf(value), Object.keys(value)];
  if (classOf(value) === "Dirent") {
    const entry = value as fs.Dirent;
    const kinds = [entry.isFile(), entry.isDirectory(), entry.isSymbolicLink(), entry.isFIFO()];
    return [inspect(entry), ...kinds];
  }
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, described(part)]));
}

/** An error as everything that Node's documentation lets a caller rely on. */
export function failure(error: unknown): unknown {
  const { message, code, errno, syscall, path, dest } = error as NodeJS.ErrnoException & {
    dest?: string;
  };
  const kind = String(code).startsWith("ERR_") ? classOf(error as object) : "Error";
  return { kind, message, code, errno, syscall, path, dest };
}

async function settled(body: () => unknown): Promise<unknown> {
  try {
    return { value: described(await body()) };
  } catch (error) {
    return { error: failure(error) };
  }
}

/** What a call by name gives: its value, or its error. */
export async function outcome(
  on: AnyFs,
  flavour: Flavour,
  name: string,
  args: readonly unknown[],
): Promise<unknown> {
  const table = on as Readonly<Record<string, Call>>;
  if (flavour === "sync") return settled(() => table[`${name}Sync`]?.(...args));
  if (flavour === "promise") {
    const promises = table["promises"] as unknown as Readonly<Record<string, Call>>;
    return settled(() => promises[name]?.(...args));
  }
  return settled(
    () =>
      new Promise((resolve, reject) => {
        table[name]?.(...args, (error: unknown, ...values: unknown[]) => {
          if (error instanceof Error) reject(error);
          else resolve(name === "exists" ? error : values.length > 1 ? values : values[0]);
        });
      }),
  );
}
