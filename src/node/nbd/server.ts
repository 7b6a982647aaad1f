/**
 * An NBD server: exports, and the sockets at which they are offered.
 *
 * @module
 */
import { fstatSync } from "node:fs";
import { DaxError } from "../../lib/errno.ts";
import type { ExportDirectory, NbdExport } from "../../nbd/export.ts";
import type { NbdStore } from "../../nbd/store.ts";
import { openSession } from "../../nbd/session.ts";
import type { NbdAddress } from "../../nbd/uri.ts";
import { type NbdListen, type UriTls, serverUri } from "./addresses.ts";
import { typed } from "../system-error.ts";
import type { EngineOptions } from "./engine.ts";
import { makeEngine } from "./engines.ts";
import { ExportList } from "./export-list.ts";
import { type Listener, startListening } from "./listeners.ts";
import { Reception } from "./reception.ts";
import { type NbdTlsOptions, type TlsSettings, readTlsSettings } from "./tls-settings.ts";

/** What is served, where, and to whom. */
export interface NbdServerOptions {
  /** The first is the default one unless another is named; or a list that changes. */
  readonly exports: readonly NbdExport[] | ExportDirectory;
  /** The name of the export for clients that name none. */
  readonly defaultExport?: string;
  /** Sockets to listen at; none for a server that only adopts connections. */
  readonly listen?: NbdListen | readonly NbdListen[];
  readonly tls?: NbdTlsOptions;
  /** Listens beyond loopback although clients need not speak TLS. */
  readonly insecure?: boolean;
  /** A client may take so long until it has chosen an export: 10,000 unless told, 0 for ever. */
  readonly handshakeMs?: number;
  /** More connections than these are closed at once; as many as descriptors allow unless told. */
  readonly maxConnections?: number;
  readonly engine?: EngineOptions;
  /** What went wrong with one connection, for a log: clients that break the protocol or vanish. */
  readonly onFault?: (fault: DaxError) => void;
}

const HANDSHAKE_MS = 10_000;
const GRACE_MS = 5000;
/** In the session's words. */
const TLS_MODES = { off: "off", on: "allowed", require: "required" } as const;

/**
 * Starts a server.
 * @throws EINVAL for exports and options that cannot be, EADDRINUSE, EACCES, EPERM for an address
 *   beyond loopback without TLS, ENOENT for keys
 */
export async function serveNbd(options: NbdServerOptions): Promise<NbdServer> {
  const server = new NbdServer(options);
  const places = [options.listen ?? []].flat();
  try {
    // oxlint-disable-next-line no-await-in-loop -- addresses are in the order of asking
    for (const at of places) await server.listen(at);
  } catch (error) {
    await server.close();
    throw error;
  }
  return server;
}

/** A running server; {@link serveNbd} makes it. */
export class NbdServer {
  readonly exports: ExportDirectory;
  readonly #tls: TlsSettings | undefined;
  readonly #reception: Reception;
  readonly #options: NbdServerOptions;
  readonly #listeners: Listener[] = [];
  #closing: Promise<void> | undefined;

  constructor(options: NbdServerOptions) {
    const { handshakeMs = HANDSHAKE_MS, maxConnections = Number.POSITIVE_INFINITY } = options;
    this.#options = options;
    this.exports =
      "find" in options.exports && "list" in options.exports
        ? options.exports
        : new ExportList(options.exports, options.defaultExport);
    this.#tls = options.tls === undefined ? undefined : readTlsSettings(options.tls);
    const tlsMode = TLS_MODES[this.#tls?.mode ?? "off"];
    this.#reception = new Reception({
      makeSession: () => openSession(this.exports, { tls: tlsMode }),
      engine: makeEngine(options.engine),
      tls: this.#tls,
      handshakeMs,
      maxConnections,
      onFault: options.onFault,
    });
  }

  /** Where it listens, in the order of asking. */
  get addresses(): readonly NbdAddress[] {
    return this.#listeners.map(({ address }) => address);
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#reception.connections;
  }

  /** The URI of an export, the default one unless named; undefined while it listens nowhere. */
  uri(name: string = this.exports.find("")?.name ?? ""): string | undefined {
    const [address] = this.addresses;
    return address === undefined ? undefined : serverUri(address, name, this.#uriTls());
  }

  /** Listens at one more place. @throws as {@link serveNbd} */
  async listen(at: NbdListen): Promise<NbdAddress> {
    const open = this.#options.insecure === true || this.#tls?.mode === "require";
    const listener = await startListening(at, open, {
      onConnection: (socket) => this.#reception.accept(socket),
      onRefused: (error) => this.#options.onFault?.(error),
    });
    this.#listeners.push(listener);
    return listener.address;
  }

  /**
   * Serves a connected stream socket that somebody else accepted, such as descriptor 0 under inetd;
   * resolves when that connection is over.
   * @throws EINVAL for what is no socket, EBADF, EMFILE
   */
  async serveDescriptor(fd: number): Promise<void> {
    if (!typed(`descriptor ${fd}`, () => fstatSync(fd)).isSocket()) {
      const detail = `descriptor ${fd} is no stream socket; inetd and nbd_connect_command give one`;
      throw new DaxError("EINVAL", { syscall: "accept", detail });
    }
    return this.#reception.serve(fd);
  }

  /**
   * Stops listening, answers what was received, hangs up, and makes durable what was acknowledged.
   * Stores and media may be closed afterwards. Idempotent.
   * @param graceMs clients that read nothing are cut off after so long; 5,000 unless told otherwise
   * @throws what flushing a store says
   */
  async close(graceMs: number = GRACE_MS): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(graceMs: number): Promise<void> {
    await Promise.all(this.#listeners.map(async (listener) => listener.close()));
    await this.#reception.close(graceMs);
    const stores = new Set<NbdStore>(this.exports.list().map(({ store }) => store));
    for (const store of stores) if (!store.readOnly) store.flush();
  }

  #uriTls(): UriTls {
    const { psk, certificates } = this.#options.tls ?? {};
    const user = this.#tls?.user;
    return {
      required: this.#tls?.mode === "require",
      parameters: {
        ...(psk === undefined ? {} : { "tls-psk-file": psk }),
        ...(certificates === undefined ? {} : { "tls-certificates": certificates }),
      },
      ...(user === undefined ? {} : { user }),
    };
  }
}
