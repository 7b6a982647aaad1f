/**
 * Where an export is, as a URI: `nbd://host:port/export`, `nbd+unix:///export?socket=/path`, and
 * `nbds`, `nbds+unix` for TLS (doc/uri.md of the NBD project, RFC 3986).
 *
 * @module
 */
import { NBD_DEFAULT_PORT, NBD_MAX_STRING } from "../format/nbd.ts";
import { DaxError } from "../lib/errno.ts";
import { decodeUtf8, encodeUtf8 } from "../lib/utf8.ts";

/** Where a server listens. */
export type NbdAddress =
  | {
      readonly kind: "tcp";
      /** A name or a literal address, without brackets. */
      readonly host: string;
      readonly port: number;
    }
  | {
      readonly kind: "unix";
      /** A path; a leading NUL means the abstract namespace. */
      readonly path: string;
    };

/** How a server or client is to be identified, as the URI asks for it. */
export interface NbdUriTls {
  readonly type?: "anon" | "x509" | "psk";
  /** The name that the server's certificate must have, where that is not the host. */
  readonly hostname?: string;
  readonly verifyPeer?: boolean;
  /** A folder of certificates, and a file of keys: names that libnbd's tools know too. */
  readonly certificates?: string;
  readonly pskFile?: string;
}

/** A parsed URI. */
export interface NbdUri {
  /** As it was given. */
  readonly text: string;
  readonly address: NbdAddress;
  /** "" is the server's default export. */
  readonly exportName: string;
  /** TLS is demanded: without it the connection must fail. */
  readonly tls: boolean;
  readonly tlsOptions: NbdUriTls;
  readonly user: string | undefined;
}

const SCHEME = /^(nbds?)(\+[a-z0-9]+)?:\/\//iu;

/** Whether a word means an export and not a file: `nbd://`, `nbds://`, `nbd+unix://`, … */
export function isNbdUri(word: string): boolean {
  return SCHEME.test(word);
}

/**
 * Takes a URI apart.
 * @throws EINVAL for what is not one, an unknown query parameter, a bad port or escape; ENOTSUP for
 *   a transport that is not TCP or a unix socket
 */
export function parseNbdUri(text: string): NbdUri {
  const scheme = SCHEME.exec(text);
  if (scheme === null) throw bad(text, "it does not start with nbd:// or nbd+unix://");
  if (/[\p{Cc}\p{Surrogate} "<>\\^`{|}#]/u.test(text)) {
    throw bad(text, "it holds a space or another character that must be written as %XX");
  }
  const transport = (scheme[2] ?? "").toLowerCase();
  const rest = text.slice(scheme[0].length);
  const [location, query] = cut(rest, "?");
  const slash = location.indexOf("/");
  const authority = slash === -1 ? location : location.slice(0, slash);
  const exportName = slash === -1 ? "" : nameOf(text, location.slice(slash + 1));
  const parameters = parametersOf(text, query);
  const [first, second] = cutLast(authority, "@");
  const user = second === undefined ? undefined : decoded(text, first);
  const place = second ?? first;
  return {
    text,
    address: addressOf(text, transport, place, parameters),
    exportName,
    tls: scheme[1]?.toLowerCase() === "nbds",
    tlsOptions: tlsOf(text, parameters),
    user,
  };
}

/** The URI of an export; what {@link parseNbdUri} takes apart. */
export function formatNbdUri(address: NbdAddress, exportName = "", tls = false): string {
  const scheme = tls ? "nbds" : "nbd";
  const name = escaped(exportName);
  if (address.kind === "unix") {
    return `${scheme}+unix:///${name}?socket=${escaped(address.path)}`;
  }
  const host = address.host.includes(":") ? `[${address.host}]` : escaped(address.host);
  const port = address.port === NBD_DEFAULT_PORT ? "" : `:${address.port}`;
  return `${scheme}://${host}${port}/${name}`;
}

function escaped(text: string): string {
  let out = "";
  for (const byte of encodeUtf8(text)) {
    const character = String.fromCharCode(byte);
    const plain = /[A-Za-z0-9\-._~/]/u.test(character);
    out += plain ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out;
}

function cut(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function cutLast(text: string, separator: string): [string, string | undefined] {
  const at = text.lastIndexOf(separator);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function nameOf(text: string, path: string): string {
  const name = decoded(text, path);
  if (name.includes("\0")) throw bad(text, "an export's name holds no NUL");
  const length = encodeUtf8(name).length;
  if (length > NBD_MAX_STRING) {
    throw bad(text, `an export's name of ${length} bytes; ${NBD_MAX_STRING} is the most`);
  }
  return name;
}

const PARAMETERS: ReadonlySet<string> = new Set([
  "socket",
  "tls-type",
  "tls-hostname",
  "tls-verify-peer",
  "tls-certificates",
  "tls-psk-file",
]);

function parametersOf(text: string, query: string | undefined): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const part of (query ?? "").split(/[&;]/u)) {
    if (part === "") continue;
    const [rawKey, rawValue] = cut(part, "=");
    const key = decoded(text, rawKey);
    if (!PARAMETERS.has(key)) {
      throw bad(text, `parameter '${key}' is not known; there are socket and tls-…`);
    }
    if (parameters.has(key)) throw bad(text, `parameter '${key}' is there twice`);
    parameters.set(key, decoded(text, rawValue ?? ""));
  }
  return parameters;
}

function addressOf(
  text: string,
  transport: string,
  place: string,
  parameters: ReadonlyMap<string, string>,
): NbdAddress {
  const socket = parameters.get("socket");
  if (transport === "+unix") {
    if (place !== "") throw bad(text, `a unix socket is on no host; leave '${place}' out`);
    if (socket === undefined || socket === "") throw bad(text, "say ?socket=PATH");
    if (socket.indexOf("\0", 1) !== -1) throw bad(text, "a socket's path holds no NUL");
    return { kind: "unix", path: socket };
  }
  if (transport !== "") {
    throw new DaxError("ENOTSUP", {
      syscall: "connect",
      path: text,
      detail: `'${transport.slice(1)}' sockets are not known; give nbd:// or nbd+unix://`,
    });
  }
  if (socket !== undefined) throw bad(text, "socket= goes with nbd+unix://");
  return { kind: "tcp", ...hostOf(text, place) };
}

function hostOf(text: string, place: string): { host: string; port: number } {
  const match = /^(?:\[([0-9A-Fa-f:.]+(?:%25[^\]]+)?)\]|([^:[\]]*))(?::([0-9]*))?$/u.exec(place);
  if (match === null) {
    throw bad(text, `'${place}' is no host or host:port; an IPv6 address stands in brackets`);
  }
  const [, six, name, digits = ""] = match;
  const port = digits === "" ? NBD_DEFAULT_PORT : Number(digits);
  if (port < 1 || port > 65535) throw bad(text, `port ${digits}; they go from 1 to 65535`);
  const host = decoded(text, six ?? name ?? "");
  if (host.includes("\0")) throw bad(text, "a host's name holds no NUL");
  return { host: host === "" ? "localhost" : host, port };
}

function tlsOf(text: string, parameters: ReadonlyMap<string, string>): NbdUriTls {
  const type = parameters.get("tls-type");
  if (type !== undefined && type !== "anon" && type !== "x509" && type !== "psk") {
    throw bad(text, `tls-type is '${type}'; there are anon, x509 and psk`);
  }
  const verify = parameters.get("tls-verify-peer");
  if (verify !== undefined && verify !== "0" && verify !== "1") {
    throw bad(text, `tls-verify-peer is '${verify}'; give 0 or 1`);
  }
  const [hostname, certificates, pskFile] = [
    "tls-hostname",
    "tls-certificates",
    "tls-psk-file",
  ].map((key) => parameters.get(key));
  return {
    ...(type === undefined ? {} : { type }),
    ...(verify === undefined ? {} : { verifyPeer: verify === "1" }),
    ...(hostname === undefined ? {} : { hostname }),
    ...(certificates === undefined ? {} : { certificates }),
    ...(pskFile === undefined ? {} : { pskFile }),
  };
}

/** Undoes %XX; the bytes are UTF-8, or stay as they are (see `lib/utf8.ts`). */
function decoded(text: string, part: string): string {
  if (!part.includes("%")) return part;
  const bytes: number[] = [];
  for (let i = 0; i < part.length;) {
    const escape = /^%([0-9A-Fa-f]{2})/u.exec(part.slice(i, i + 3));
    if (escape !== null) {
      bytes.push(Number.parseInt(escape[1]!, 16));
      i += 3;
      continue;
    }
    if (part[i] === "%") throw bad(text, `'${part.slice(i, i + 3)}' is no escape; write %25 for %`);
    const character = String.fromCodePoint(part.codePointAt(i)!);
    bytes.push(...encodeUtf8(character));
    i += character.length;
  }
  return decodeUtf8(Uint8Array.from(bytes));
}

function bad(text: string, detail: string): DaxError {
  return new DaxError("EINVAL", { syscall: "parse", path: text, detail });
}
