/**
 * Where a server listens, and what clients write to reach it.
 *
 * @module
 */
import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { DaxError } from "../../lib/errno.ts";
import { encodeUtf8 } from "../../lib/utf8.ts";
import { type NbdAddress, formatNbdUri } from "../../nbd/uri.ts";

/** A unix socket, a TCP port, or a listening descriptor that somebody else opened. */
export type NbdListen =
  | { readonly path: string }
  | {
      /** 0 takes a free one. */
      readonly port: number;
      /** An address or a name; 127.0.0.1 unless given. */
      readonly address?: string;
    }
  | { readonly fd: number };

/** What a client's URI says of TLS. */
export interface UriTls {
  readonly required: boolean;
  /** For libnbd's tools: the parameters that tell them where keys are. */
  readonly parameters: Readonly<Record<string, string>>;
  /** Whose pre-shared key; without it clients try the name of whoever is logged in, if anybody. */
  readonly user?: string;
}

const LOOPBACK = "127.0.0.1";
/** Bytes in `sun_path` without its NUL. */
const LONGEST_SOCKET_PATH = 107;

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** Whether only this machine reaches an address. */
export function isLoopback(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && loopback.check(address, family === 6 ? "ipv6" : "ipv4");
}

/**
 * The address that a name stands for, checked.
 * @throws EADDRNOTAVAIL for a name that is none, EINVAL for a port that cannot be, EPERM beyond
 *   loopback unless `open`
 */
export async function resolveTcp(
  { port, address = LOOPBACK }: { readonly port: number; readonly address?: string },
  open: boolean,
): Promise<{ address: string; port: number }> {
  if (!(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
    const detail = `port ${shown(port)}; give a number from 0 to 65535`;
    throw new DaxError("EINVAL", { syscall: "listen", detail });
  }
  const found = isIP(address) === 0 ? await resolve(address) : address;
  if (!open && !isLoopback(found)) throw beyondLoopback(address);
  return { address: found, port };
}

/** What is said of an address that more than this machine reaches. */
export function beyondLoopback(address: string): DaxError {
  return new DaxError("EPERM", {
    syscall: "listen",
    path: address,
    detail:
      "beyond this machine everybody could read and write; require TLS (--tls require), or say " +
      "insecure (--insecure)",
  });
}

/** Programs that no compiler has seen ask for anything. @throws EINVAL for what is no place */
export function checkPlace(at: unknown): asserts at is NbdListen {
  const names = ["path", "port", "fd"];
  if (typeof at === "object" && at !== null && names.some((name) => name in at)) return;
  const detail = `${shown(at)} is no place; give { path }, { port, address } or { fd }`;
  throw new DaxError("EINVAL", { syscall: "listen", detail });
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? "undefined").slice(0, 80);
}

async function resolve(name: string): Promise<string> {
  try {
    return (await lookup(name)).address;
  } catch {
    throw new DaxError("EADDRNOTAVAIL", {
      syscall: "listen",
      path: name.slice(0, 255),
      detail: "no address has this name",
    });
  }
}

/** Refuses a path that no unix socket can have. @throws EINVAL, ENAMETOOLONG */
export function checkSocketPath(path: string): string {
  const bytes = encodeUtf8(path).length;
  if (bytes > LONGEST_SOCKET_PATH) {
    throw new DaxError("ENAMETOOLONG", {
      syscall: "listen",
      path,
      detail: `${bytes} bytes; a unix socket's path has ${LONGEST_SOCKET_PATH} at most`,
    });
  }
  if (path === "" || path.includes("\0")) {
    throw new DaxError("EINVAL", { syscall: "listen", path, detail: "no path of a socket" });
  }
  return path;
}

/** The URI of an export, with what libnbd's tools need to speak TLS where they must. */
export function serverUri(at: NbdAddress, name: string, tls: UriTls): string {
  const anybody = formatNbdUri(at, name, tls.required);
  if (!tls.required) return anybody;
  const user = tls.user === undefined ? "" : `${encodeURIComponent(tls.user)}@`;
  const uri = anybody.replace("://", () => `://${user}`);
  const parameters = Object.entries(tls.parameters);
  // Slashes stay readable: a query may hold them.
  const query = parameters.map(
    ([key, value]) => `${key}=${encodeURIComponent(value).replaceAll("%2F", "/")}`,
  );
  const joint = uri.includes("?") ? "&" : "?";
  return query.length === 0 ? uri : `${uri}${joint}${query.join("&")}`;
}
