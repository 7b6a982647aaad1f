/**
 * Memory of which every access is checked: loads and stores of scalars, as `DataView` has them,
 * over copies that may fail with a typed error.
 *
 * @module
 */

/** Loads and stores by offset, in bytes from the start of the range; big-endian unless told. */
export abstract class CheckedMemory {
  /** A load or store of a scalar goes through here. */
  readonly #word = new DataView(new ArrayBuffer(8));
  readonly #one = new Uint8Array(this.#word.buffer, 0, 1);
  readonly #two = new Uint8Array(this.#word.buffer, 0, 2);
  readonly #four = new Uint8Array(this.#word.buffer, 0, 4);
  readonly #eight = new Uint8Array(this.#word.buffer, 0, 8);

  /** Fills all of `target` from byte `at`. @throws EINVAL past the end, EFAULT, ENXIO, EHWPOISON */
  abstract copyOut(at: number, target: Uint8Array): void;

  /** Stores all of `source` at byte `at`. @throws EACCES when read-only, and as {@link copyOut} */
  abstract copyIn(at: number, source: Uint8Array): void;

  /** Loads a byte. @throws as {@link copyOut} */
  getUint8(at: number): number {
    this.copyOut(at, this.#one);
    return this.#word.getUint8(0);
  }

  /** Loads 2 bytes, unsigned; big-endian unless told otherwise. @throws as {@link copyOut} */
  getUint16(at: number, littleEndian = false): number {
    this.copyOut(at, this.#two);
    return this.#word.getUint16(0, littleEndian);
  }

  /** Loads 4 bytes, unsigned; big-endian unless told otherwise. @throws as {@link copyOut} */
  getUint32(at: number, littleEndian = false): number {
    this.copyOut(at, this.#four);
    return this.#word.getUint32(0, littleEndian);
  }

  /** Loads 4 bytes, signed; big-endian unless told otherwise. @throws as {@link copyOut} */
  getInt32(at: number, littleEndian = false): number {
    this.copyOut(at, this.#four);
    return this.#word.getInt32(0, littleEndian);
  }

  /** Loads 8 bytes, unsigned; big-endian unless told otherwise. @throws as {@link copyOut} */
  getBigUint64(at: number, littleEndian = false): bigint {
    this.copyOut(at, this.#eight);
    return this.#word.getBigUint64(0, littleEndian);
  }

  /** Stores a byte. @throws as {@link copyIn} */
  setUint8(at: number, value: number): void {
    this.#word.setUint8(0, value);
    this.copyIn(at, this.#one);
  }

  /** Stores 2 bytes; big-endian unless told otherwise. @throws as {@link copyIn} */
  setUint16(at: number, value: number, littleEndian = false): void {
    this.#word.setUint16(0, value, littleEndian);
    this.copyIn(at, this.#two);
  }

  /** Stores 4 bytes; big-endian unless told otherwise. @throws as {@link copyIn} */
  setUint32(at: number, value: number, littleEndian = false): void {
    this.#word.setUint32(0, value, littleEndian);
    this.copyIn(at, this.#four);
  }

  /** Stores 4 bytes, signed; big-endian unless told otherwise. @throws as {@link copyIn} */
  setInt32(at: number, value: number, littleEndian = false): void {
    this.#word.setInt32(0, value, littleEndian);
    this.copyIn(at, this.#four);
  }

  /** Stores 8 bytes; big-endian unless told otherwise. @throws as {@link copyIn} */
  setBigUint64(at: number, value: bigint, littleEndian = false): void {
    this.#word.setBigUint64(0, value, littleEndian);
    this.copyIn(at, this.#eight);
  }
}
