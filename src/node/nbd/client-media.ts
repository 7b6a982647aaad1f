/**
 * NBD exports as media: what is looked at is read over the wire, and what was flushed is written
 * and flushed there at the fence.
 *
 * @module
 */
import { NBD_FLAG_SEND_FLUSH } from "../../format/nbd.ts";
import { DaxError } from "../../lib/errno.ts";
import type { Durability, PersistenceDomain } from "../../media/media.ts";
import { NbdClient } from "../../nbd/client.ts";
import type { ClientWishes } from "../../nbd/client-handshake.ts";
import type { Talk } from "../../nbd/talk.ts";
import { type NbdUri, parseNbdUri } from "../../nbd/uri.ts";
import { type Backing, BufferedMedia } from "../buffered-media.ts";
import type { FileMedia } from "../media-file.ts";
import { type ConnectOptions, connectBlocking, converse, named } from "./blocking.ts";
import type { BlockingConnection } from "./blocking-connection.ts";

/** Bytes of a window unless told otherwise: a few round trips' worth. */
const SEGMENT_BYTES = 2 ** 20;

/** How an export becomes media. */
export interface OpenNbdOptions extends ConnectOptions {
  /** Look only. Unless given, it is as the server says. */
  readonly readOnly?: boolean;
  /** What a power cut leaves; `adr` where the server knows FLUSH, else `volatile`. */
  readonly domain?: PersistenceDomain;
  /** Bytes of a window; a multiple of 64 KiB, 1 MiB by default and 4 MiB at most. */
  readonly segmentBytes?: number;
  /** Bytes that may be in memory: 1 GiB by default. */
  readonly mostBytes?: number;
  /** Read-only media may let go of what was looked at first, instead of refusing more. */
  readonly forget?: boolean;
}

/** A connection in transmission, on the calling thread. */
export class NbdConnection {
  readonly uri: NbdUri;
  readonly client: NbdClient;
  readonly #connection: BlockingConnection;
  #open = true;

  private constructor(uri: NbdUri, connection: BlockingConnection, client: NbdClient) {
    this.uri = uri;
    this.#connection = connection;
    this.client = client;
  }

  /**
   * Connects to the export that a URI names.
   * @throws EINVAL for a bad URI, ENOENT for an export or socket that is not there, ECONNREFUSED,
   *   EPROTO for a server that breaks the protocol, and what else it or the system says
   */
  static open(
    source: string | NbdUri,
    options: ConnectOptions = {},
    wishes: Partial<ClientWishes> = {},
  ): NbdConnection {
    const uri = typeof source === "string" ? parseNbdUri(source) : source;
    const connection = connectBlocking(uri, options);
    const tls = uri.tls ? { tls: uri.tlsOptions } : {};
    try {
      const talk = NbdClient.connect({ exportName: uri.exportName, ...tls, ...wishes });
      return new NbdConnection(uri, connection, converse(connection, talk));
    } catch (error) {
      connection.close();
      throw named(error, uri);
    }
  }

  /** Bytes that whole blocks reach: a last part of a block cannot be asked for. */
  get size(): number {
    const { size, blockSizes } = this.client.agreement;
    return size - (size % blockSizes.minimum);
  }

  /** Holds a talk of {@link client}. @throws what it throws, with the URI named */
  hold<T>(talk: Talk<T>): T {
    try {
      return converse(this.#connection, talk);
    } catch (error) {
      throw named(error, this.uri);
    }
  }

  /** Says goodbye where that is still possible. Idempotent. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    try {
      converse(this.#connection, this.client.disconnect());
    } catch (error) {
      // A server that is gone needs no goodbye.
      if (!(error instanceof DaxError)) throw error;
    } finally {
      this.#connection.close();
    }
  }
}

/**
 * Opens an export as media, buffered in memory. `durability` is `fsync` where the server knows
 * FLUSH: the range is written by WRITE and then by FLUSH, which answers for it; else `volatile`.
 * @throws as {@link NbdConnection.open}; EROFS when `readOnly` is false and the server says it is;
 *   EINVAL for an empty export or a `segmentBytes` that cannot be
 */
export function openNbdMedia(source: string | NbdUri, options: OpenNbdOptions = {}): FileMedia {
  const { segmentBytes = SEGMENT_BYTES } = options;
  if (!(segmentBytes > 0 && segmentBytes % 65_536 === 0)) {
    throw new DaxError("EINVAL", {
      syscall: "open",
      detail: `segmentBytes is ${segmentBytes}; give a multiple of 65536`,
    });
  }
  const connection = NbdConnection.open(source, options, { contexts: [] });
  try {
    const backing = new NbdBacking(connection, options.readOnly);
    return new BufferedMedia(backing, {
      segmentBytes,
      ...(options.domain === undefined ? {} : { domain: options.domain }),
      ...(options.mostBytes === undefined ? {} : { mostBytes: options.mostBytes }),
      ...(options.forget === undefined ? {} : { forget: options.forget }),
      limitHint: "copy the export to a file",
    });
  } catch (error) {
    connection.close();
    throw error;
  }
}

class NbdBacking implements Backing {
  readonly path: string;
  readonly size: number;
  readonly readOnly: boolean;
  readonly durability: Durability;
  readonly blockBytes: number;
  readonly #connection: NbdConnection;

  constructor(connection: NbdConnection, readOnly: boolean | undefined) {
    const { client } = connection;
    this.#connection = connection;
    this.path = connection.uri.text;
    this.size = connection.size;
    this.readOnly = readOnly ?? client.readOnly;
    this.durability = client.has(NBD_FLAG_SEND_FLUSH) ? "fsync" : "volatile";
    this.blockBytes = client.agreement.blockSizes.minimum;
    if (client.readOnly && !this.readOnly) {
      throw this.#refuse("EROFS", "the server exports it read-only");
    }
    if (this.size === 0) throw this.#refuse("EINVAL", "the export is empty");
  }

  read(offset: number, target: Uint8Array): void {
    this.#connection.hold(this.#connection.client.read(offset, target));
  }

  write(offset: number, source: Uint8Array): void {
    this.#connection.hold(this.#connection.client.write(offset, source));
  }

  persist(): void {
    if (this.durability === "volatile") return;
    this.#connection.hold(this.#connection.client.flush());
  }

  /** A server that lost a part answers writes to it with an error. */
  checkWhole(): void {}

  grow(): never {
    throw this.#refuse("ENOTSUP", "an export keeps its size");
  }

  close(): void {
    this.#connection.close();
  }

  #refuse(code: "EROFS" | "EINVAL" | "ENOTSUP", detail: string): DaxError {
    return new DaxError(code, { syscall: "open", path: this.path, detail });
  }
}
