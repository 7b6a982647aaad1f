/**
 * Images that a command was given: opened once each, and closed when the command ends.
 *
 * @module
 */
import { type DaxError, isDaxError } from "../lib/errno.ts";
import type { Volume } from "../node/volume.ts";
import {
  type Invocation,
  type OperandSpec,
  type OptionTable,
  STATUS_FAILED,
  STATUS_OK,
  UsageError,
} from "./command.ts";
import { type OperatingError, isOperatingError, oneLine } from "./errors.ts";
import { type ImagePath, splitImagePath } from "./image-path.ts";
import type { Terminal } from "./terminal.ts";

/** Where in a file the filesystem is; every command on images takes these. */
export const IMAGE_OPTIONS = {
  partition: { type: "count", value: "N", text: "read partition N of a disk" },
  offset: { type: "size", value: "BYTES", text: "read the filesystem that starts there" },
} as const satisfies OptionTable;

/** A disk is looked into by number or by place, not both. */
export const IMAGE_EXCLUSIVE = [["partition", "offset"]] as const;

/** The operand of most of them. */
export const IMAGE_OPERAND = {
  name: "IMAGE[:PATH]",
  text: "an image, and a path inside it; the root when left out",
  count: "many",
} as const satisfies OperandSpec;

/** An operand with the volume it lies in. */
export interface OpenedPath extends ImagePath {
  readonly volume: Volume;
}

type ImageInvocation = Invocation<typeof IMAGE_OPTIONS>;
type Open = (path: string, where: Where) => Volume;

/** Where in a file the filesystem is. */
export interface Where {
  readonly partition?: number;
  readonly offset?: number;
}

/** The images of one run of a command, and what went wrong with them. */
export class Images {
  status = STATUS_OK;
  readonly where: Where;
  readonly #open: Open;
  readonly #terminal: Terminal;
  readonly #volumes = new Map<string, Volume>();

  constructor(open: Open, where: Where, terminal: Terminal) {
    this.#open = open;
    this.where = where;
    this.#terminal = terminal;
  }

  /** Opens what a word names. @throws UsageError, and as `openVolume` */
  open(word: string): OpenedPath {
    const split = splitImagePath(word);
    const known = this.#volumes.get(split.image);
    const volume = known ?? this.#open(split.image, this.where);
    this.#volumes.set(split.image, volume);
    return { ...split, volume };
  }

  /** Runs `body` for each word; one that fails is reported, and the others have their turn. */
  each(words: readonly string[], body: (opened: OpenedPath) => void): void {
    for (const word of words) {
      const opened = this.#tolerate(() => this.open(word));
      if (opened !== undefined) this.#tolerate(() => body(opened), opened);
    }
  }

  /** As `each`, for commands that look at a whole image without mounting it. */
  eachWhole(words: readonly string[], body: (image: string) => void): void {
    for (const word of words) {
      this.#tolerate(() => {
        const { image, path } = splitImagePath(word);
        if (path !== "/") throw new UsageError(`'${word}': give the image without a path in it`);
        body(image);
      });
    }
  }

  /** Reports an error and lets the command go on; its status will be 2. */
  complain(error: OperatingError): void {
    this.status = STATUS_FAILED;
    this.#terminal.message(oneLine(error));
  }

  #tolerate<T>(body: () => T, where?: OpenedPath): T | undefined {
    try {
      return body();
    } catch (error) {
      if (!isOperatingError(error)) throw error;
      this.complain(where === undefined ? error : inImage(error, where.image, where.path));
      return undefined;
    }
  }

  close(): void {
    for (const volume of this.#volumes.values()) volume.close();
    this.#volumes.clear();
  }
}

/** An error about a path in an image, with the name of the image: there may be several. */
export function inImage<E extends OperatingError>(
  error: E,
  image: string,
  path: string,
): E | DaxError {
  if (!isDaxError(error)) return error;
  return error.at({ path: `${image}:${error.path ?? path}` });
}

/** Runs a command on images and closes them, whatever happens. */
export async function withImages(
  { values, terminal }: ImageInvocation,
  body: (images: Images) => void | Promise<void>,
): Promise<number> {
  const { openVolume } = await import("../node/volume.ts");
  const { partition, offset } = values;
  const where = {
    ...(partition === undefined ? {} : { partition }),
    ...(offset === undefined ? {} : { offset }),
  };
  const images = new Images(openVolume, where, terminal);
  try {
    await body(images);
    return images.status;
  } finally {
    images.close();
  }
}
