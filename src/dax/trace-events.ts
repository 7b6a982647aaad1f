/**
 * Trace events of faults and write-back, with the names and fields of Linux's `fs_dax` events. One
 * listener for the process; while there is none, an event costs one look at a variable:
 * `daxTrace.sink?.(…)` does not even make the event's fields.
 *
 * @module
 */

/** The points at which something is traced. */
export type DaxTracePoint =
  | "dax_pte_fault"
  | "dax_pte_fault_done"
  | "dax_pmd_fault"
  | "dax_pmd_fault_done"
  | "dax_load_hole"
  | "dax_pmd_load_hole"
  | "dax_pmd_load_hole_fallback"
  | "dax_insert_mapping"
  | "dax_insert_pfn_mkwrite"
  | "dax_insert_pfn_mkwrite_no_entry"
  | "dax_writeback_range"
  | "dax_writeback_range_done"
  | "dax_writeback_one";

/** Something happened; `fields` are Linux's, page numbers where Linux has page numbers. */
export interface DaxTraceEvent {
  readonly point: DaxTracePoint;
  readonly fields: Readonly<Record<string, number | string>>;
}

/** Who listens. It is called while pages are locked, and may touch no mapping. */
export type DaxTraceSink = (event: DaxTraceEvent) => void;

/** Where events go; `sink` is undefined while nobody listens. */
export const daxTrace: { sink: DaxTraceSink | undefined } = { sink: undefined };

/** Has events told to `sink`; the answer puts back whoever listened before. */
export function traceDaxTo(sink: DaxTraceSink): () => void {
  const before = daxTrace.sink;
  daxTrace.sink = sink;
  return () => {
    daxTrace.sink = before;
  };
}
