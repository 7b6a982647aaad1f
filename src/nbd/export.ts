/**
 * Exports: stores with a name, as a client lists and asks for them.
 *
 * @module
 */
import type { DirtyMap } from "./dirty-map.ts";
import type { NbdStore } from "./store.ts";

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
   * Called by the transport when a connection enters transmission with it (`session.export` is
   * set), and when that connection has ended.
   */
  readonly onAttach?: () => void;
  /** See `onAttach`. */
  readonly onDetach?: () => void;
}

/** The exports of a server; looking has no side effects. */
export interface ExportDirectory {
  /** In the order in which clients list them. */
  list(): readonly NbdExport[];
  /** The export of that name; "" means the default one. */
  find(name: string): NbdExport | undefined;
}
