/**
 * A driver whose operations are told to a tracer: a wrapper around operations that is operations,
 * so that a driver without it pays nothing.
 *
 * @module
 */
import type { Tracer } from "../lib/environment.ts";
import type { Stitched } from "../media/media.ts";
import type { AccessMode, DaxOperations, DaxSpan, PagePiece } from "./operations.ts";

/** Operations that are traced: each call is an event `dax.<operation>` after it succeeded. */
export class TracedOperations implements DaxOperations {
  // What the driver lacks stays lacking: the dax device decides by that what to do instead.
  declare readonly flush?: NonNullable<DaxOperations["flush"]>;
  declare readonly copyFromIter?: NonNullable<DaxOperations["copyFromIter"]>;
  declare readonly recoveryWrite?: NonNullable<DaxOperations["recoveryWrite"]>;
  readonly #inner: DaxOperations;
  readonly #device: string;
  readonly #trace: Tracer;

  /** `device` is the name under which events are told. */
  constructor(inner: DaxOperations, device: string, trace: Tracer) {
    this.#inner = inner;
    this.#device = device;
    this.#trace = trace;
    if (inner.flush !== undefined) {
      this.flush = (pgoff, start, length) => {
        inner.flush?.(pgoff, start, length);
        trace.event("dax.flush", { device, pgoff, start, length });
      };
    }
    if (inner.copyFromIter !== undefined) {
      this.copyFromIter = (pgoff, start, sources) => {
        const length = inner.copyFromIter?.(pgoff, start, sources) ?? 0;
        trace.event("dax.copy_from_iter", { device, pgoff, start, length });
        return length;
      };
    }
    if (inner.recoveryWrite !== undefined) {
      this.recoveryWrite = (pgoff, start, source) => {
        const length = inner.recoveryWrite?.(pgoff, start, source) ?? 0;
        trace.event("dax.recovery_write", { device, pgoff, start, length });
        return length;
      };
    }
  }

  directAccess(pgoff: number, pages: number, mode: AccessMode): DaxSpan {
    const span = this.#inner.directAccess(pgoff, pages, mode);
    const { pages: answered, pfn } = span;
    this.#tell("dax.direct_access", { pgoff, pages, answered, pfn, mode });
    return span;
  }

  zeroPageRange(pgoff: number, pages: number): void {
    this.#inner.zeroPageRange(pgoff, pages);
    this.#tell("dax.zero_page_range", { pgoff, pages });
  }

  fence(): void {
    this.#inner.fence?.();
    this.#tell("dax.fence", {});
  }

  stitch(pieces: readonly PagePiece[], writable: boolean): Stitched | undefined {
    const stitched = this.#inner.stitch?.(pieces, writable);
    this.#tell("dax.stitch", { pieces: pieces.length, length: stitched?.bytes.length ?? 0 });
    return stitched;
  }

  checkFault(): void {
    this.#inner.checkFault?.();
  }

  #tell(point: string, fields: Readonly<Record<string, number | string>>): void {
    this.#trace.event(point, { device: this.#device, ...fields });
  }
}
