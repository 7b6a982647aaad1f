/**
 * All address spaces of one owner: of a filesystem, by the numbers of its files, whoever mounts it,
 * or of a device that is mapped raw.
 *
 * @module
 */
import { isDaxError } from "../lib/errno.ts";
import { AddressSpace, type AddressSpaceOptions } from "./address-space.ts";

const registry = new WeakMap<object, AddressSpaces>();

/** The files of one owner that somebody maps. */
export class AddressSpaces implements Iterable<AddressSpace> {
  readonly #spaces = new Map<number, AddressSpace>();

  /** Those of an owner: the same object for the same filesystem or device. */
  static of(owner: object): AddressSpaces {
    const known = registry.get(owner) ?? new AddressSpaces();
    registry.set(owner, known);
    return known;
  }

  /** How many files are mapped. */
  get size(): number {
    return this.#spaces.size;
  }

  /** That of a file; undefined while nobody maps it. */
  get(ino: number): AddressSpace | undefined {
    return this.#spaces.get(ino);
  }

  /** That of a file that is about to be mapped; it goes with its last area. */
  open(options: AddressSpaceOptions): AddressSpace {
    const known = this.#spaces.get(options.ino);
    if (known !== undefined) return known;
    const space = new AddressSpace(options, () => void this.#spaces.delete(options.ino));
    this.#spaces.set(options.ino, space);
    return space;
  }

  /** In the order in which they were mapped. */
  [Symbol.iterator](): IterableIterator<AddressSpace> {
    return this.#spaces.values();
  }

  /** Writes back all of them. @throws EIO of the first that could not */
  writeBack(): void {
    let failure: unknown;
    for (const space of this.#spaces.values()) {
      try {
        space.writeBack();
      } catch (error) {
        if (!isDaxError(error)) throw error;
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
  }
}
