/**
 * Exports: stores with a name, as a client lists and asks for them.
 *
 * @module
 */
import type { DirtyMap } from "./dirty-map.ts";
import type { NbdStore } from "./store.ts";

/** Whether requests may be served now. */
export interface ExportGate {
  readonly open: boolean;
  /** Calls back, once, when it is open again. */
  onOpen(call: () => void): void;
}

/** One thing a server offers. */
export interface NbdExport {
  /** UTF-8 of at most 4096 bytes without NUL; "" only for a lone export. */
  readonly name: string;
  /** For `NBD_OPT_LIST` and `NBD_INFO_DESCRIPTION`. */
  readonly description?: string;
  readonly store: NbdStore;
  /** Serves `daxkit:dirty` where it is kept. */
  readonly dirty?: DirtyMap;
  /**
   * A client has agreed on it (`session.export` is set): called once for each connection, before
   * the first of its requests.
   */
  readonly onAttach?: () => void;
  /** Called by the transport when a connection that was attached has ended. */
  readonly onDetach?: () => void;
  /** While it is shut, requests wait unread in their sockets; absent: it never is. */
  readonly gate?: ExportGate;
}

/** The exports of a server; looking has no side effects. */
export interface ExportDirectory {
  /** In the order in which clients list them. */
  list(): readonly NbdExport[];
  /** The export of that name; "" means the default one. */
  find(name: string): NbdExport | undefined;
}
