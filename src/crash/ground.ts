/**
 * The memory that explorations run on. It is as large as the volume, so that those who explore by
 * the thousand keep it.
 *
 * @module
 */
import { LineClass, ModelledMedia, type ModelledOptions } from "../media/modelled.ts";
import { LINE_BYTES } from "../media/trace.ts";
import { CrashImage } from "./crash-image.ts";

/** Modelled memory, and the image on it. */
export interface Ground {
  readonly media: ModelledMedia;
  readonly image: CrashImage;
}

/** A ground that lies idle, and what it holds. */
interface Idle extends Ground {
  readonly initial: Uint8Array;
  readonly modelled: ModelledOptions;
}

/**
 * Memory between explorations. From the same array it begins at no cost, and it must not have been
 * changed then; from another one of the same size and model it is copied.
 */
export class Grounds {
  #idle: Idle | undefined;
  readonly #taken = new WeakMap<Ground, Idle>();

  /** Memory that holds `initial`. */
  take(initial: Uint8Array, modelled: ModelledOptions): Ground {
    const idle = this.#idle;
    this.#idle = undefined;
    const fits = idle?.modelled === modelled && idle.initial.length === initial.length;
    const media = fits ? idle.media : new ModelledMedia(initial.length, modelled);
    const { image: bytes } = media.recorder;
    if (!fits || idle.initial !== initial) {
      bytes.set(initial);
      zeroVolatile(media);
    }
    const image = fits ? idle.image : new CrashImage(bytes);
    if (fits && idle.initial !== initial) image.renew();
    const ground = { media, image };
    this.#taken.set(ground, { ...ground, initial, modelled });
    return ground;
  }

  /** Gives back what was taken; it holds again what it held then. */
  give(ground: Ground): void {
    this.#idle = this.#taken.get(ground);
  }
}

/** What a power cut leaves of volatile ranges. */
export function zeroVolatile({ recorder, classes }: ModelledMedia): void {
  if (!classes.includes(LineClass.volatile)) return;
  for (const [line, kind] of classes.entries()) {
    const start = line * LINE_BYTES;
    if (kind === LineClass.volatile) recorder.image.fill(0, start, start + LINE_BYTES);
  }
}
