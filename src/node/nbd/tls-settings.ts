/**
 * Keys and certificates of a server that speaks TLS, read from where nbdkit keeps them.
 *
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type TlsOptions, createSecureContext } from "node:tls";
import { DaxError } from "../../lib/errno.ts";
import { typed } from "../system-error.ts";

/** Who may speak TLS, and with which keys. */
export interface NbdTlsOptions {
  /** `on` lets clients choose; `require` tells nothing to one that has not asked for TLS. */
  readonly mode: "on" | "require";
  /**
   * A folder with `server-cert.pem` and `server-key.pem`; with `ca-cert.pem` where clients are
   * verified, and `ca-crl.pem` where some are revoked.
   */
  readonly certificates?: string;
  /** Instead of certificates, a file of pre-shared keys: lines of `NAME:HEX`, as psktool's. */
  readonly psk?: string;
  /** Only clients with a certificate of `ca-cert.pem`'s. */
  readonly verifyPeer?: boolean;
}

/** What `node:tls` needs. */
export interface TlsSettings {
  readonly mode: "on" | "require";
  readonly server: TlsOptions;
  /** The first who has a pre-shared key, for URIs. */
  readonly user?: string;
}

const LARGEST_KEY_FILE = 1 << 20;
const MOST_KEY_BYTES = 256;
const LEAST_KEY_BYTES = 16;
/** Pre-shared keys are bound to SHA-256, and the second half is TLS 1.2. */
const PSK_CIPHERS = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-PSK-CHACHA20-POLY1305",
  "DHE-PSK-AES256-GCM-SHA384",
  "DHE-PSK-AES128-GCM-SHA256",
  "DHE-PSK-CHACHA20-POLY1305",
  "PSK-AES256-GCM-SHA384",
  "PSK-AES128-GCM-SHA256",
].join(":");

/**
 * Reads the keys.
 * @throws EINVAL for options that contradict each other and files that are no keys, ENOENT, EACCES
 */
export function readTlsSettings(options: NbdTlsOptions): TlsSettings {
  const { mode, certificates, psk, verifyPeer = false } = options;
  if (certificates !== undefined && psk !== undefined) {
    throw refused("keys or certificates, not both");
  }
  if (psk !== undefined) {
    if (verifyPeer) throw refused("clients of a pre-shared key show no certificate to verify");
    const keys = readPskFile(psk);
    const [user = ""] = keys.keys();
    return { mode, server: pskOptions(keys), user };
  }
  if (certificates === undefined) {
    throw refused("give a folder of certificates, or a file of pre-shared keys");
  }
  return { mode, server: certificateOptions(certificates, verifyPeer) };
}

function certificateOptions(folder: string, verifyPeer: boolean): TlsOptions {
  const crl = join(folder, "ca-crl.pem");
  const server: TlsOptions = {
    minVersion: "TLSv1.2",
    cert: readKeys(join(folder, "server-cert.pem")),
    key: readKeys(join(folder, "server-key.pem")),
    ...(verifyPeer ? { ca: readKeys(join(folder, "ca-cert.pem")) } : {}),
    ...(verifyPeer && existsSync(crl) ? { crl: readKeys(crl) } : {}),
    requestCert: verifyPeer,
    rejectUnauthorized: verifyPeer,
  };
  try {
    createSecureContext(server);
  } catch (error) {
    throw new DaxError("EINVAL", {
      syscall: "tls",
      path: folder,
      detail: `its certificates cannot be used: ${String(error)}`,
    });
  }
  return server;
}

function pskOptions(keys: ReadonlyMap<string, Buffer>): TlsOptions {
  return {
    minVersion: "TLSv1.2",
    ciphers: PSK_CIPHERS,
    dhparam: "auto",
    pskCallback: (_, identity) => keys.get(identity) ?? null,
  };
}

function readKeys(path: string): Buffer {
  const bytes = typed(path, () => readFileSync(path));
  if (bytes.length > LARGEST_KEY_FILE) throw refused("too long to be keys", path);
  return bytes;
}

/** Keys by the names of their users. A name that starts with `#` is in hexadecimal. */
function readPskFile(path: string): Map<string, Buffer> {
  const keys = new Map<string, Buffer>();
  const lines = readKeys(path).toString("utf8").split("\n");
  for (const [index, line] of lines.entries()) {
    if (line.trim() === "") continue;
    const [, user, hex] = /^(.*):((?:[0-9a-f]{2})+)\s*$/iu.exec(line) ?? [];
    const key = Buffer.from(hex ?? "", "hex");
    if (user === undefined || key.length < LEAST_KEY_BYTES || key.length > MOST_KEY_BYTES) {
      const bounds = `${LEAST_KEY_BYTES} to ${MOST_KEY_BYTES} bytes`;
      throw refused(`line ${index + 1} is no NAME:HEX with a key of ${bounds}`, path);
    }
    keys.set(user.startsWith("#") ? Buffer.from(user.slice(1), "hex").toString() : user, key);
  }
  if (keys.size === 0) throw refused("no keys in it; psktool makes them", path);
  return keys;
}

function refused(detail: string, path?: string): DaxError {
  return new DaxError("EINVAL", {
    syscall: "tls",
    ...(path === undefined ? {} : { path }),
    detail,
  });
}
