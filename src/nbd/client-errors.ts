/**
 * What a server's errors mean to a caller, and what to call a server that breaks the protocol.
 *
 * @module
 */
import {
  NBD_EINVAL,
  NBD_EIO,
  NBD_ENOMEM,
  NBD_ENOSPC,
  NBD_ENOTSUP,
  NBD_EOVERFLOW,
  NBD_EPERM,
  NBD_ESHUTDOWN,
  NBD_REP_ERR_BLOCK_SIZE_REQD,
  NBD_REP_ERR_EXT_HEADER_REQD,
  NBD_REP_ERR_INVALID,
  NBD_REP_ERR_PLATFORM,
  NBD_REP_ERR_POLICY,
  NBD_REP_ERR_SHUTDOWN,
  NBD_REP_ERR_TLS_REQD,
  NBD_REP_ERR_TOO_BIG,
  NBD_REP_ERR_UNKNOWN,
  NBD_REP_ERR_UNSUP,
} from "../format/nbd.ts";
import { DaxError, type ErrnoCode } from "../lib/errno.ts";
import { decodeUtf8 } from "../lib/utf8.ts";

/** Characters of a server's message that are passed on. */
const LONGEST_MESSAGE = 256;

const COMMAND_CODES: ReadonlyMap<number, ErrnoCode> = new Map([
  [NBD_EPERM, "EPERM"],
  [NBD_EIO, "EIO"],
  [NBD_ENOMEM, "ENOMEM"],
  [NBD_EINVAL, "EINVAL"],
  [NBD_ENOSPC, "ENOSPC"],
  [NBD_EOVERFLOW, "EOVERFLOW"],
  [NBD_ENOTSUP, "ENOTSUP"],
  [NBD_ESHUTDOWN, "ESHUTDOWN"],
]);

const OPTION_CODES: ReadonlyMap<number, readonly [ErrnoCode, string]> = new Map([
  [NBD_REP_ERR_UNSUP, ["ENOTSUP", "the server does not know the option"]],
  [NBD_REP_ERR_POLICY, ["EACCES", "the server's policy forbids it"]],
  [NBD_REP_ERR_INVALID, ["EINVAL", "the server calls the option invalid"]],
  [NBD_REP_ERR_PLATFORM, ["ENOTSUP", "the server's platform does not support it"]],
  [NBD_REP_ERR_TLS_REQD, ["EACCES", "the server demands TLS; give nbds://"]],
  [NBD_REP_ERR_UNKNOWN, ["ENOENT", "the server has no such export"]],
  [NBD_REP_ERR_SHUTDOWN, ["ESHUTDOWN", "the server is ending"]],
  [NBD_REP_ERR_BLOCK_SIZE_REQD, ["EINVAL", "the server demands that block sizes are asked for"]],
  [NBD_REP_ERR_TOO_BIG, ["EOVERFLOW", "the server calls the option too big"]],
  [NBD_REP_ERR_EXT_HEADER_REQD, ["ENOTSUP", "the server demands extended headers"]],
]);

/** The server does what the specification forbids: nothing it says later can be trusted. */
export function violation(detail: string): DaxError {
  return new DaxError("EPROTO", { syscall: "nbd", detail: `the server ${detail}` });
}

/** The error of a command, as a reply tells it; what is not known counts as EINVAL. */
export function commandError(syscall: string, error: number, range: string, text = ""): DaxError {
  const code = COMMAND_CODES.get(error) ?? "EINVAL";
  const known = COMMAND_CODES.has(error) ? "" : `; error ${error}`;
  const said = text === "" ? "" : `; the server says: ${text}`;
  return new DaxError(code, { syscall, detail: `${range}${known}${said}` });
}

/** The error reply to an option. */
export function optionError(type: number, text: string): DaxError {
  const [code, meaning] = OPTION_CODES.get(type) ?? ["EIO", `error reply ${type.toString(16)}`];
  const said = text === "" ? "" : `: ${text}`;
  return new DaxError(code, { syscall: "connect", detail: `${meaning}${said}` });
}

/** What a server says to people, made short and harmless. */
export function messageOf(bytes: Uint8Array): string {
  const text = decodeUtf8(bytes.subarray(0, 4 * LONGEST_MESSAGE));
  const shown = text.replaceAll(/[\p{Cc}\p{Surrogate}]/gu, " ").trim();
  return shown.length > LONGEST_MESSAGE ? `${shown.slice(0, LONGEST_MESSAGE)}…` : shown;
}
