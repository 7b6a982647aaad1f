/**
 * Checks of arguments with the codes and words of Node's own errors: what a caller passes to
 * `volume.fs` fails as it fails with `node:fs`.
 *
 * @module
 */
import { constants } from "node:fs";
import { inspect } from "node:util";
import type { ErrnoCode } from "../../lib/errno.ts";

/** An error of Node's: `TypeError [ERR_INVALID_ARG_TYPE]`. */
function nodeError<E extends Error>(error: E, code: string): E & { code: string } {
  const { name } = error;
  // The stack is made when the error is; the code belongs into its first line as in Node's.
  error.stack = error.stack?.replace(name, `${name} [${code}]`) ?? "";
  return Object.assign(error, { code });
}

function shorten(text: string, limit: number): string {
  return text.length > limit ? `${text.slice(0, limit)}...` : text;
}

/** How Node describes the type of what it got. */
function received(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "function") return `function ${value.name}`;
  if (typeof value === "object") {
    const name: unknown = value.constructor?.name;
    if (typeof name === "string" && name !== "") return `an instance of ${name}`;
    return inspect(value, { depth: -1 });
  }
  const text = inspect(value, { colors: false });
  return `type ${typeof value} (${text.length > 28 ? `${text.slice(0, 25)}...` : text})`;
}

/** ERR_INVALID_ARG_TYPE; `expected` in Node's words: `of type string`. */
export function invalidType(name: string, expected: string, value: unknown): TypeError {
  const what = name.includes(".") ? "property" : "argument";
  const message = `The "${name}" ${what} must be ${expected}. Received ${received(value)}`;
  return nodeError(new TypeError(message), "ERR_INVALID_ARG_TYPE");
}

/** ERR_INVALID_ARG_VALUE. */
export function invalidValue(name: string, value: unknown, reason = "is invalid"): TypeError {
  const what = name.includes(".") ? "property" : "argument";
  const message = `The ${what} '${name}' ${reason}. Received ${shorten(inspect(value), 128)}`;
  return nodeError(new TypeError(message), "ERR_INVALID_ARG_VALUE");
}

/** Digits in threes, as Node writes large numbers in errors. */
function separated(digits: string): string {
  return digits.replaceAll(/\B(?=(?:\d{3})+$)/gu, "_");
}

/** ERR_OUT_OF_RANGE; `range` in Node's words: `an integer`. */
export function outOfRange(name: string, range: string, value: unknown): RangeError {
  const large = typeof value === "bigint" || Number.isInteger(value);
  const big = large && Math.abs(Number(value)) > 2 ** 32;
  const text = big
    ? separated(String(value))
    : typeof value === "bigint"
      ? String(value)
      : inspect(value);
  const seen = typeof value === "bigint" ? `${text}n` : text;
  const message = `The value of "${name}" is out of range. It must be ${range}. Received ${seen}`;
  return nodeError(new RangeError(message), "ERR_OUT_OF_RANGE");
}

/** What Node says where an operation failed that is more than one system call. */
export interface SystemContext {
  readonly message: string;
  readonly code: ErrnoCode;
  readonly errno: number;
  readonly syscall: string;
  readonly path: string;
}

/** Node has a class of its own for each of the two ways to make such an error. */
class SystemError extends Error {
  constructor(code: string, prefix: string, context: SystemContext) {
    const { message, errno, syscall, path } = context;
    super(`${prefix}: ${syscall} returned ${context.code} (${message}) ${path}`);
    this.name = "SystemError";
    Object.assign(this, { code, info: { ...context }, errno, syscall, path });
  }
}
class NodeError extends SystemError {}

/** What `rm` says: `ERR_FS_EISDIR`. */
export function systemErrorOf(code: string, prefix: string, context: SystemContext): Error {
  return new SystemError(code, prefix, context);
}

/** What `cp` says: `ERR_FS_CP_EINVAL`. */
export function cpErrorOf(code: string, prefix: string, context: SystemContext): Error {
  return new NodeError(code, prefix, context);
}

/** ERR_FS_INVALID_SYMLINK_TYPE. */
export function invalidLinkType(type: string): Error {
  const message = `Symlink type must be one of "dir", "file", or "junction". Received "${type}"`;
  return nodeError(new Error(message), "ERR_FS_INVALID_SYMLINK_TYPE");
}

/** ERR_METHOD_NOT_IMPLEMENTED. */
export function notImplemented(name: string): Error {
  const message = `The ${name}() method is not implemented`;
  return nodeError(new Error(message), "ERR_METHOD_NOT_IMPLEMENTED");
}

/** ERR_INVALID_RETURN_VALUE. */
export function invalidReturn(expected: string, from: string, value: unknown): TypeError {
  const message =
    `Expected ${expected} to be returned from the "${from}" function ` +
    `but got ${received(value)}.`;
  return nodeError(new TypeError(message), "ERR_INVALID_RETURN_VALUE");
}

/** ERR_INCOMPATIBLE_OPTION_PAIR. */
export function incompatible(one: string, other: string): TypeError {
  const message = `Option "${one}" cannot be used in combination with option "${other}"`;
  return nodeError(new TypeError(message), "ERR_INCOMPATIBLE_OPTION_PAIR");
}

/** ERR_INVALID_STATE. */
export function invalidState(what: string): Error {
  return nodeError(new Error(`Invalid state: ${what}`), "ERR_INVALID_STATE");
}

/** ERR_DIR_CLOSED. */
export function directoryClosed(): Error {
  return nodeError(new Error("Directory handle was closed"), "ERR_DIR_CLOSED");
}

/** What an aborted signal makes of an operation. */
export function abortError(signal: AbortSignal): Error {
  const error = new Error("The operation was aborted", { cause: signal.reason });
  error.name = "AbortError";
  return Object.assign(error, { code: "ABORT_ERR" });
}

/** @throws ERR_INVALID_ARG_TYPE */
export function checkFunction(value: unknown, name: string): asserts value is Function_ {
  if (typeof value !== "function") throw invalidType(name, "of type function", value);
}

/** Any function: what it takes is its caller's business. */
export type Function_ = (...values: readonly unknown[]) => unknown;

/** @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE */
export function checkInteger(
  value: unknown,
  name: string,
  least = Number.MIN_SAFE_INTEGER,
  most = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value !== "number") throw invalidType(name, "of type number", value);
  if (!Number.isInteger(value)) throw outOfRange(name, "an integer", value);
  if (value < least || value > most) throw outOfRange(name, `>= ${least} && <= ${most}`, value);
  return value;
}

/** A descriptor's number. @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE */
export function checkDescriptor(value: unknown): number {
  return checkInteger(value, "fd", 0, 2 ** 31 - 1);
}

/** @throws ERR_INVALID_ARG_TYPE */
export function checkBoolean(value: unknown, name: string): boolean {
  if (typeof value !== "boolean") throw invalidType(name, "of type boolean", value);
  return value;
}

/** Something with bytes: a Buffer, a typed array, a DataView. */
export function isView(value: unknown): value is NodeJS.ArrayBufferView {
  return ArrayBuffer.isView(value);
}

/** The bytes of a view. */
export function bytesOf(view: NodeJS.ArrayBufferView): Uint8Array {
  if (view instanceof Uint8Array) return view;
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** @throws ERR_INVALID_ARG_TYPE */
export function checkView(value: unknown): NodeJS.ArrayBufferView {
  if (isView(value)) return value;
  throw invalidType("buffer", "an instance of Buffer, TypedArray, or DataView", value);
}

/** @throws ERR_INVALID_ARG_TYPE */
export function checkViews(value: unknown): readonly NodeJS.ArrayBufferView[] {
  if (Array.isArray(value) && value.every(isView)) return value;
  throw invalidType("buffers", "an ArrayBufferView[]", value);
}

/** Bytes of a string or a view. @throws ERR_INVALID_ARG_TYPE */
export function dataOf(value: unknown, name: string, encoding: unknown): Uint8Array {
  if (isView(value)) return bytesOf(value);
  if (typeof value !== "string") {
    const expected = "of type string or an instance of Buffer, TypedArray, or DataView";
    throw invalidType(name, expected, value);
  }
  return Buffer.from(value, encodingOf(encoding));
}

/** What Node takes for an encoding it does not know, or none. */
function encodingOf(value: unknown): BufferEncoding {
  return typeof value === "string" && Buffer.isEncoding(value) ? value : "utf8";
}

/** Options of a call; a string stands for its encoding. */
export interface Options {
  readonly encoding?: BufferEncoding | "buffer" | null;
  readonly flag?: unknown;
  readonly signal?: AbortSignal;
  readonly recursive?: unknown;
  readonly withFileTypes?: boolean;
  readonly bufferSize?: unknown;
  readonly bigint?: unknown;
  readonly throwIfNoEntry?: unknown;
  readonly mode?: unknown;
  readonly force?: unknown;
  readonly flush?: unknown;
}

/** @throws ERR_INVALID_ARG_TYPE for neither a string nor an object, ERR_INVALID_ARG_VALUE */
export function optionsOf(value: unknown): Options {
  if (value === null || value === undefined || typeof value === "function") return {};
  const options: unknown = typeof value === "string" ? { encoding: value } : value;
  if (typeof options !== "object") {
    throw invalidType("options", "one of type string or object", value);
  }
  const { encoding, signal } = options as { encoding?: unknown; signal?: unknown };
  if (Boolean(encoding) && encoding !== "buffer" && !Buffer.isEncoding(String(encoding))) {
    throw invalidValue("encoding", encoding, "is invalid encoding");
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalidType("options.signal", "an instance of AbortSignal", signal);
  }
  return options as Options;
}

/** An object or nothing. @throws ERR_INVALID_ARG_TYPE */
export function plainOptions(value: unknown): Readonly<Record<string, unknown>> {
  if (value === null || value === undefined) return {};
  if (typeof value === "object" && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  throw invalidType("options", "of type object", value);
}

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND, O_EXCL, O_SYNC } = constants;
const WRITE = O_WRONLY | O_CREAT | O_TRUNC;
const APPEND = O_WRONLY | O_CREAT | O_APPEND;
const FLAGS: ReadonlyMap<string, number> = new Map([
  ["r", O_RDONLY],
  ["rs", O_RDONLY | O_SYNC],
  ["sr", O_RDONLY | O_SYNC],
  ["r+", O_RDWR],
  ["rs+", O_RDWR | O_SYNC],
  ["sr+", O_RDWR | O_SYNC],
  ["w", WRITE],
  ["wx", WRITE | O_EXCL],
  ["xw", WRITE | O_EXCL],
  ["w+", O_RDWR | O_CREAT | O_TRUNC],
  ["wx+", O_RDWR | O_CREAT | O_TRUNC | O_EXCL],
  ["xw+", O_RDWR | O_CREAT | O_TRUNC | O_EXCL],
  ["a", APPEND],
  ["ax", APPEND | O_EXCL],
  ["xa", APPEND | O_EXCL],
  ["as", APPEND | O_SYNC],
  ["sa", APPEND | O_SYNC],
  ["a+", O_RDWR | O_CREAT | O_APPEND],
  ["ax+", O_RDWR | O_CREAT | O_APPEND | O_EXCL],
  ["xa+", O_RDWR | O_CREAT | O_APPEND | O_EXCL],
  ["as+", O_RDWR | O_CREAT | O_APPEND | O_SYNC],
  ["sa+", O_RDWR | O_CREAT | O_APPEND | O_SYNC],
]);

/** Flags of open(2) from Node's letters. @throws ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE */
export function flagsOf(value: unknown): number {
  if (typeof value === "number") return checkInteger(value, "flags", -(2 ** 31), 2 ** 31 - 1);
  if (value === null || value === undefined) return O_RDONLY;
  const flags = typeof value === "string" ? FLAGS.get(value) : undefined;
  if (flags === undefined) throw invalidValue("flags", value);
  return flags;
}

/** Seconds since 1970 of a Date, a number or digits; negative numbers are now, as in Node. */
export function secondsOf(value: unknown, name = "time"): number {
  if (typeof value === "string" && !Number.isNaN(Number(value))) return Number(value);
  if (typeof value === "number" && Number.isFinite(value)) {
    return value < 0 ? Date.now() / 1000 : value;
  }
  if (value instanceof Date) return value.getTime() / 1000;
  throw invalidType(name, "an instance of Date or an Time in seconds", value);
}

/** A mode as a number or octal digits. @throws ERR_INVALID_ARG_TYPE … */
export function modeOf(value: unknown, name = "mode", fallback?: number): number {
  const given = value ?? fallback;
  if (typeof given === "string") {
    if (!/^[0-7]+$/u.test(given)) {
      throw invalidValue(name, given, "must be a 32-bit unsigned integer or an octal string");
    }
    return checkInteger(Number.parseInt(given, 8), name, 0, 2 ** 32 - 1);
  }
  return checkInteger(given, name, 0, 2 ** 32 - 1);
}
