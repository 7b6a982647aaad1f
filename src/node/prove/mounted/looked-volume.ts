/**
 * A state of a volume, mounted, that knows which of its bytes were looked at.
 *
 * @module
 */
import { createPmem } from "../../../drivers/pmem.ts";
import { ext } from "../../../fs/ext/ext.ts";
import { seededEnvironment } from "../../../lib/environment.ts";
import { ModelledMedia } from "../../../media/modelled.ts";
import type { Observer } from "../../../media/recorder.ts";
import { LINE_BYTES } from "../../../media/trace.ts";
import { FileTree } from "../../../vfs/file-tree.ts";
import type { Patch } from "./check-messages.ts";
import type { Look } from "./look-tree.ts";

/** The part of a line that was looked at, in bytes of the line. */
interface Span {
  from: number;
  to: number;
}

/** Notes loads of what was there before anybody stored. */
class Looks implements Observer {
  /** By line, in the order of first looks. */
  readonly #spans = new Map<number, Span>();
  /** Lines that were written over as a whole: what they held does not matter any more. */
  readonly #hidden = new Set<number>();

  load(at: number, length: number): void {
    const stop = at + length;
    for (let line = Math.floor(at / LINE_BYTES); line * LINE_BYTES < stop; line++) {
      if (this.#hidden.has(line)) continue;
      const start = line * LINE_BYTES;
      const [from, to] = [Math.max(at - start, 0), Math.min(stop - start, LINE_BYTES)];
      const span = this.#spans.get(line);
      if (span === undefined) {
        this.#spans.set(line, { from, to });
        continue;
      }
      span.from = Math.min(span.from, from);
      span.to = Math.max(span.to, to);
    }
  }

  store(at: number, length: number): void {
    const first = Math.ceil(at / LINE_BYTES);
    const stop = Math.floor((at + length) / LINE_BYTES);
    for (let line = first; line < stop; line++) this.#hidden.add(line);
  }

  order(): void {}

  take(): Look[] {
    return [...this.#spans].map(([line, { from, to }]) => ({
      at: line * LINE_BYTES + from,
      length: to - from,
    }));
  }
}

/** States of one volume, one after the other. */
export class LookedVolume {
  readonly #base: Uint8Array;
  readonly #media: ModelledMedia;
  #looks = new Looks();

  /** `base`: what it holds, but for patches. */
  constructor(base: Uint8Array) {
    this.#base = base;
    this.#media = new ModelledMedia(base.length);
    this.#media.recorder.recording = false;
  }

  /** Makes a state, and mounts it for writing. What is written to it is gone with the next. */
  mount(patches: readonly Patch[]): FileTree {
    const { recorder } = this.#media;
    recorder.forgetAliases();
    recorder.image.set(this.#base);
    for (const { at, bytes } of patches) recorder.image.set(bytes, at);
    this.#looks = new Looks();
    recorder.observer = this.#looks;
    const { size: length } = this.#media;
    const media = this.#media;
    const { disk } = createPmem({ name: "pmem0", media, start: 0, length, physicalStart: 0 });
    return new FileTree(ext.mount(disk, { write: true }, seededEnvironment(1)));
  }

  /** What was looked at since then. */
  looks(): Look[] {
    return this.#looks.take();
  }
}
