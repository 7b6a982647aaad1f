/**
 * What a client brings to a TLS handshake: files in the places that libnbd's tools look into.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { DaxError } from "../../lib/errno.ts";
import type { NbdUri, NbdUriTls } from "../../nbd/uri.ts";
import { typed } from "../system-error.ts";

/** For `tls.connect`; plain data, so that it can go to another thread. */
export interface TlsClientSettings {
  readonly servername?: string;
  readonly rejectUnauthorized: boolean;
  readonly minVersion: "TLSv1.2";
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly psk?: { readonly identity: string; readonly key: string };
}

/**
 * Reads what the URI names: `tls-certificates` is a folder with `ca-cert.pem`, and for a client
 * that must show who it is `client-cert.pem` and `client-key.pem`; `tls-psk-file` has lines
 * `user:key`.
 * Without them the server is judged by the authorities that Node knows.
 * @throws ENOENT and what else reading them says, EINVAL for a file without the user's key
 */
export function tlsClientSettings(uri: NbdUri, options: NbdUriTls): TlsClientSettings {
  const { address } = uri;
  const host = options.hostname ?? (address.kind === "tcp" ? address.host : "localhost");
  const psk = options.pskFile === undefined ? undefined : keyOf(options.pskFile, uri);
  const files = options.certificates === undefined ? {} : certificatesIn(options.certificates);
  return {
    ...(isIP(host) === 0 ? { servername: host } : {}),
    rejectUnauthorized: (options.verifyPeer ?? true) && options.type !== "anon",
    minVersion: "TLSv1.2",
    ...files,
    ...(psk === undefined ? {} : { psk }),
  };
}

function certificatesIn(folder: string): Pick<TlsClientSettings, "ca" | "cert" | "key"> {
  const [ca, cert, key] = ["ca-cert.pem", "client-cert.pem", "client-key.pem"].map((name) =>
    textOf(join(folder, name), name !== "ca-cert.pem"),
  );
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

function textOf(path: string, optional: boolean): string | undefined {
  try {
    return typed(path, () => readFileSync(path, "utf8"));
  } catch (error) {
    if (optional && error instanceof DaxError && error.code === "ENOENT") return undefined;
    throw error;
  }
}

function keyOf(path: string, { user }: NbdUri): { identity: string; key: string } {
  const lines = (textOf(path, false) ?? "").split("\n");
  for (const line of lines) {
    const [identity = "", key = ""] = line.trim().split(":");
    const wanted = user === undefined || user === identity;
    if (wanted && /^([0-9A-Fa-f]{2})+$/u.test(key)) return { identity, key };
  }
  throw new DaxError("EINVAL", {
    syscall: "connect",
    path,
    detail: `no line '${user ?? "user"}:key' in it, the key in hexadecimal`,
  });
}
