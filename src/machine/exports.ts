/**
 * What a machine serves to others as network block devices: the `exports` and `nbd` keys of its
 * description.
 *
 * @module
 */
import {
  DescriptionError,
  type KeyPath,
  type Read,
  type Reader,
  count,
  flag,
  listOf,
  object,
  oneOf,
  refuse,
  text,
} from "./shape.ts";

/** A disk or partition that is served. */
export interface ExportDescription {
  /** `pmem0`, `pmem0p1`, `ram0`; whether there is one shows after booting. */
  readonly device: string;
  /** What clients ask for; the device's name unless given. */
  readonly name: string;
  /** For people who list the exports. */
  readonly description?: string;
  readonly readOnly: boolean;
}

/** Where the exports are served, and to whom. */
export interface NbdDescription {
  /** Path of a unix socket. */
  readonly socket?: string;
  /** TCP; 0 takes a free port. */
  readonly port?: number;
  /** Of TCP; loopback unless given. */
  readonly address?: string;
  /** Beyond loopback without TLS. */
  readonly insecure: boolean;
  readonly tls: "off" | "on" | "require";
  /** A folder with server-cert.pem, server-key.pem, and ca-cert.pem. */
  readonly tlsCertificates?: string;
  /** A file of pre-shared keys. */
  readonly tlsPsk?: string;
  /** Clients must show a certificate. */
  readonly tlsVerifyPeer: boolean;
}

/** Both keys, checked together; nothing when the machine serves nothing. */
export interface ServedDescription {
  readonly exports?: readonly ExportDescription[];
  readonly nbd?: NbdDescription;
}

/** Bytes in the longest name that the protocol allows. */
const LONGEST_NAME = 4096;
const LAST_PORT = 65_535;

const exported = { device: text, name: text, description: text, readOnly: flag } as const;
const exportObject = object(exported);

/** `pmem0`, or a mapping that says more. */
const exportItem: Reader<Read<typeof exported>> = (value, path) =>
  typeof value === "string" ? { device: text(value, path) } : exportObject(value, path);

/** Readers for the two keys. */
export const SERVED_KEYS = {
  exports: listOf(exportItem),
  nbd: object({
    socket: text,
    port: count,
    address: text,
    insecure: flag,
    tls: oneOf<NbdDescription["tls"]>("off", "on", "require"),
    tlsCertificates: text,
    tlsPsk: text,
    tlsVerifyPeer: flag,
  }),
} as const;

type Given = Read<typeof SERVED_KEYS>;

/** Checks and completes both keys. @throws DescriptionError */
export function readServed({ exports, nbd }: Given): ServedDescription {
  if (exports === undefined && nbd === undefined) return {};
  if (nbd === undefined) {
    throw new DescriptionError(
      ["exports"],
      " needs nbd: { socket: PATH } or { port: N } beside it",
    );
  }
  if (exports === undefined || exports.length === 0) {
    throw new DescriptionError(["nbd"], " serves nothing; name devices under exports");
  }
  const described = exports.map((fields, i) => readExport(fields, ["exports", i]));
  refuseTwins(described);
  return { exports: described, nbd: readNbd(nbd) };
}

function readExport(fields: Read<typeof exported>, path: KeyPath): ExportDescription {
  const { device, name = device, description, readOnly = false } = fields;
  if (device === undefined || name === undefined) {
    throw new DescriptionError(path, " needs a device such as pmem0");
  }
  if (utf8Length(name) > LONGEST_NAME) {
    throw new DescriptionError([...path, "name"], ` is longer than ${LONGEST_NAME} bytes`);
  }
  return { device, name, ...(description === undefined ? {} : { description }), readOnly };
}

function utf8Length(name: string): number {
  let bytes = 0;
  for (const character of name) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x1_0000 ? 3 : 4;
  }
  return bytes;
}

function refuseTwins(exports: readonly ExportDescription[]): void {
  const seen = new Map<string, number>();
  for (const [i, { name }] of exports.entries()) {
    const earlier = seen.get(name);
    if (earlier !== undefined) {
      const path = ["exports", i, "name"];
      throw new DescriptionError(path, ` is ${JSON.stringify(name)}, as that of [${earlier}]`);
    }
    seen.set(name, i);
  }
}

function readNbd(fields: NonNullable<Given["nbd"]>): NbdDescription {
  const { socket, port, address, insecure = false, tls, tlsCertificates, tlsPsk } = fields;
  const { tlsVerifyPeer = false } = fields;
  if (socket === undefined && port === undefined) {
    throw new DescriptionError(["nbd"], " needs a socket or a port");
  }
  if (port !== undefined && port > LAST_PORT) refuse(["nbd", "port"], port, "a port up to 65535");
  if (address !== undefined && port === undefined) {
    throw new DescriptionError(["nbd", "address"], " is for TCP; add a port, or leave it out");
  }
  const keys = tlsCertificates ?? tlsPsk;
  const mode = tls ?? (keys === undefined ? "off" : "on");
  if (mode !== "off" && keys === undefined) {
    throw new DescriptionError(["nbd", "tls"], " needs tlsCertificates or tlsPsk");
  }
  return {
    ...(socket === undefined ? {} : { socket }),
    ...(port === undefined ? {} : { port }),
    ...(address === undefined ? {} : { address }),
    insecure,
    tls: mode,
    ...(tlsCertificates === undefined ? {} : { tlsCertificates }),
    ...(tlsPsk === undefined ? {} : { tlsPsk }),
    tlsVerifyPeer,
  };
}
