/**
 * Machine files: YAML or JSON (which is YAML too), read with care, for they may come from anywhere.
 * Errors name line and column.
 *
 * @module
 */
import { closeSync, openSync, readSync } from "node:fs";
import { dirname, resolve } from "node:path";
import {
  type Document,
  LineCounter,
  type Node,
  isMap,
  isScalar,
  isSeq,
  parseDocument,
  visit,
} from "yaml";
import type { Environment } from "../lib/environment.ts";
import { DaxError } from "../lib/errno.ts";
import type { MachineHost } from "../machine/backing.ts";
import { bootMachine } from "../machine/boot.ts";
import { describeMachine } from "../machine/describe.ts";
import type { MachineInput } from "../machine/input.ts";
import type { Machine } from "../machine/machine.ts";
import { DescriptionError, type KeyPath } from "../machine/shape.ts";
import { openFileMedia } from "./file-media.ts";
import { typed } from "./system-error.ts";

/** Bytes in the largest machine file. */
const LARGEST_FILE = 65_536;

/** Files of this computer as media; relative paths start from `folder`. */
export function fileHost(folder = "."): MachineHost {
  return {
    openMedia(path, { readOnly = false, create }) {
      return openFileMedia(resolve(folder, path), {
        readOnly,
        ...(create === undefined ? {} : { create }),
      });
    },
    readFile: (path, most) => readLimited(resolve(folder, path), most, "a firmware table"),
  };
}

/**
 * Boots the machine that a file describes; the files it names are sought from the file's folder.
 *
 * @throws EINVAL at line and column for what is no machine, E2BIG for a file of more than 64 KiB,
 *   and whatever opening this file or one that it names says
 */
export function loadMachine(path: string, environment?: Environment): Machine {
  return bootMachine(readMachineFile(path), fileHost(dirname(path)), environment);
}

/** What a machine file says, checked but not booted. @throws as {@link loadMachine} */
export function readMachineFile(path: string): MachineInput {
  const bytes = readLimited(path, LARGEST_FILE, "a machine file");
  try {
    return parseMachineText(new TextDecoder("utf-8", { fatal: true }).decode(bytes), path);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new DaxError("EINVAL", { path, detail: "a machine file is UTF-8 text, and this is not" });
  }
}

/**
 * What the text of a machine file says, checked; `name` is for messages.
 * @throws EINVAL at line and column, E2BIG for more than 64 KiB
 */
export function parseMachineText(text: string, name = "machine"): MachineInput {
  if (text.length > LARGEST_FILE) throw tooLarge(name);
  const lines = new LineCounter();
  refuseDepth(text, name);
  const document = parse(text, lines, name);
  refuseAliases(document, lines, name);
  const input = toPlain(document, name) as MachineInput;
  try {
    describeMachine(input);
  } catch (error) {
    if (!(error instanceof DescriptionError)) throw error;
    const node = locate(document, error.keyPath, error.atKey);
    throw at(name, lines, node?.range?.[0] ?? 0, error.detail ?? error.message);
  }
  return input;
}

/** A short file; those of the kernel have no size until they are read. */
function readLimited(path: string, most: number, what: string): Uint8Array {
  const bytes = new Uint8Array(most + 1);
  const length = typed(path, () => {
    const file = openSync(path, "r");
    try {
      let filled = 0;
      for (let got = 1; got > 0 && filled < bytes.length; filled += got) {
        got = readSync(file, bytes, filled, bytes.length - filled, null);
      }
      return filled;
    } finally {
      closeSync(file);
    }
  });
  if (length > most) throw tooLarge(path, most, what);
  return bytes.subarray(0, length);
}

function tooLarge(path: string, most = LARGEST_FILE, what = "a machine file"): DaxError {
  return new DaxError("E2BIG", { path, detail: `more than ${most} bytes; ${what} is far shorter` });
}

/** Levels of brackets, or of marks in one line: a machine needs four. */
const DEEPEST = 64;

/** The parser recurses, and slowly: what is nested beyond all reason is refused before. */
function refuseDepth(text: string, name: string): void {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < text.length && deepest <= DEEPEST; i++) {
    const character = text[i];
    if (character === "[" || character === "{") depth++;
    else if (character === "]" || character === "}") depth--;
    if (depth > deepest) deepest = depth;
  }
  const marks = new RegExp(`(?:[-?:][ \\t]+){${DEEPEST}}`, "u");
  if (deepest <= DEEPEST && !marks.test(text)) return;
  throw new DaxError("EINVAL", {
    path: name,
    detail: `nested too deeply; ${DEEPEST} levels at most`,
  });
}

function parse(text: string, lineCounter: LineCounter, name: string): Document {
  let document: Document;
  try {
    document = parseDocument(text, {
      lineCounter,
      schema: "core",
      version: "1.2",
      merge: false,
      stringKeys: true,
      uniqueKeys: true,
      prettyErrors: false,
      logLevel: "error",
    });
  } catch (error) {
    // The parser recurses, and its way of ending is no part of its contract.
    throw new DaxError("EINVAL", { path: name, detail: `cannot be read: ${wordsOf(error)}` });
  }
  // A warning says that the parser guessed, as at an unknown tag.
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) {
    const words =
      problem.code === "MULTIPLE_DOCS" ? "a second document; one machine a file" : wordsOf(problem);
    throw at(name, lineCounter, problem.pos[0], words);
  }
  return document;
}

/** An alias could make a short file describe billions of things. */
function refuseAliases(document: Document, lines: LineCounter, name: string): void {
  visit(document, {
    Alias(_, { source, range }) {
      throw at(name, lines, range?.[0] ?? 0, `*${source}: aliases are not for machine files`);
    },
  });
}

function toPlain(document: Document, name: string): unknown {
  try {
    // An empty file is an empty mapping: a machine of defaults.
    return document.toJS({ maxAliasCount: 0 }) ?? {};
  } catch (error) {
    throw new DaxError("EINVAL", { path: name, detail: `cannot be read: ${wordsOf(error)}` });
  }
}

function wordsOf(error: unknown): string {
  const words = error instanceof Error ? error.message : String(error);
  if (/call stack/u.test(words)) return "nested too deeply";
  return words.length > 200 ? `${words.slice(0, 200)}…` : words;
}

/** The node at a path, or the last one on the way; for a key that is refused, the key. */
function locate(document: Document, path: KeyPath, atKey: boolean): Node | undefined {
  let node = document.contents ?? undefined;
  for (const [depth, key] of path.entries()) {
    const next = step(node, key, atKey && depth === path.length - 1);
    // One item stands for a list of one: its index leads nowhere.
    if (next === undefined) {
      if (typeof key === "number") continue;
      break;
    }
    node = next;
  }
  return node;
}

function step(node: Node | undefined, key: string | number, atKey: boolean): Node | undefined {
  if (typeof key === "number") {
    const item = isSeq(node) ? node.items[key] : undefined;
    return isNodeWithRange(item) ? item : undefined;
  }
  if (!isMap(node)) return undefined;
  const pair = node.items.find((item) => isScalar(item.key) && item.key.value === key);
  if (pair === undefined) return undefined;
  return !atKey && isNodeWithRange(pair.value) ? pair.value : (pair.key as Node);
}

function isNodeWithRange(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "range" in value && value.range !== null;
}

function at(name: string, lines: LineCounter, offset: number, detail: string): DaxError {
  const { line, col } = lines.linePos(offset);
  return new DaxError("EINVAL", { path: `${name}:${line}:${col}`, detail });
}
