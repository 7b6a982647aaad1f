/**
 * Declarative on-media structures that cost what hand-written `DataView` calls cost.
 *
 * A field is an object with a fixed offset and a `get`/`set` pair; it never owns memory. There are
 * only a handful of field classes, so every call site stays monomorphic however many structures
 * exist, and a function that touches sixty fields still inlines.
 *
 * Hot modules destructure the fields they use (`const { mode, sizeLo } = Ext4Inode;`): an imported
 * binding is not a constant to V8, and costs twice as much.
 *
 * @module
 */
import { assert } from "./errno.ts";
import { type Memory, copyIn, copyOf, fill } from "./memory.ts";

/** One member of a structure: where it is, and how to read and write it. */
export interface Field<T> {
  /** The kernel's name of the type: `le32`, `be64`, `u8[16]`. */
  readonly kind: string;
  /** Bytes from the start of the structure. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  /** Reads the field of the structure that starts at `base`. */
  get(memory: Memory, base: number): T;
  /** Writes the field of the structure that starts at `base`. */
  set(memory: Memory, base: number, value: T): void;
}

// The members below are declared, not defined: a class field (`offset;`) is initialised twice, so
// V8 no longer treats it as constant, and every access costs twice as much.

class U8 implements Field<number> {
  declare readonly kind: string;
  declare readonly offset: number;
  declare readonly size: number;
  constructor(offset: number) {
    this.kind = "u8";
    this.offset = offset;
    this.size = 1;
  }
  get(memory: Memory, base: number): number {
    return memory.getUint8(base + this.offset);
  }
  set(memory: Memory, base: number, value: number): void {
    memory.setUint8(base + this.offset, value);
  }
}

class LE16 implements Field<number> {
  declare readonly kind: string;
  declare readonly offset: number;
  declare readonly size: number;
  constructor(offset: number) {
    this.kind = "le16";
    this.offset = offset;
    this.size = 2;
  }
  get(memory: Memory, base: number): number {
    return memory.getUint16(base + this.offset, true);
  }
  set(memory: Memory, base: number, value: number): void {
    memory.setUint16(base + this.offset, value, true);
  }
}

class LE32 implements Field<number> {
  declare readonly kind: string;
  declare readonly offset: number;
  declare readonly size: number;
  constructor(offset: number) {
    this.kind = "le32";
    this.offset = offset;
    this.size = 4;
  }
  get(memory: Memory, base: number): number {
    return memory.getUint32(base + this.offset, true);
  }
  set(memory: Memory, base: number, value: number): void {
    memory.setUint32(base + this.offset, value, true);
  }
}

class BE16 implements Field<number> {
  declare readonly kind: string;
  declare readonly offset: number;
  declare readonly size: number;
  constructor(offset: number) {
    this.kind = "be16";
    this.offset = offset;
    this.size = 2;
  }
  get(memory: Memory, base: number): number {
    return memory.getUint16(base + this.offset, false);
  }
  set(memory: Memory, base: number, value: number): void {
    memory.setUint16(base + this.offset, value, false);
  }
}

class BE32 implements Field<number> {
  declare readonly kind: string;
  declare readonly offset: number;
  declare readonly size: number;
  constructor(offset: number) {
    this.kind = "be32";
    this.offset = offset;
    this.size = 4;
  }
  get(memory: Memory, base: number): number {
    return memory.getUint32(base + this.offset, false);
  }
  set(memory: Memory, base: number, value: number): void {
    memory.setUint32(base + this.offset, value, false);
  }
}

const TWO_32 = 0x1_0000_0000;

function assertUnsigned53(value: number): void {
  assert(
    Number.isSafeInteger(value) && value >= 0,
    () => `${value} is not an unsigned safe integer`,
  );
}

/**
 * 64 bits as a `number`: exact below 2^53, which every offset in daxkit is. A hostile image may
 * hold more: then `get` rounds, and the bounds check of its user refuses the value.
 */
class LE64 implements Field<number> {
  declare readonly kind: string;
  declare readonly offset: number;
  declare readonly size: number;
  constructor(offset: number) {
    this.kind = "le64";
    this.offset = offset;
    this.size = 8;
  }
  get(memory: Memory, base: number): number {
    const at = base + this.offset;
    return memory.getUint32(at, true) + memory.getUint32(at + 4, true) * TWO_32;
  }
  set(memory: Memory, base: number, value: number): void {
    assertUnsigned53(value);
    const at = base + this.offset;
    memory.setUint32(at, value >>> 0, true);
    memory.setUint32(at + 4, Math.floor(value / TWO_32), true);
  }
}

/** 64 bits as a `bigint`, exact: for addresses up to 2^64 - 1 in firmware tables. */
class BigLE64 implements Field<bigint> {
  declare readonly kind: string;
  declare readonly offset: number;
  declare readonly size: number;
  constructor(offset: number) {
    this.kind = "le64";
    this.offset = offset;
    this.size = 8;
  }
  get(memory: Memory, base: number): bigint {
    return memory.getBigUint64(base + this.offset, true);
  }
  set(memory: Memory, base: number, value: bigint): void {
    assert(value >= 0n && value < 1n << 64n, () => `${value} is not an unsigned 64-bit integer`);
    memory.setBigUint64(base + this.offset, value, true);
  }
}

/** As {@link LE64}, the high word first. */
class BE64 implements Field<number> {
  declare readonly kind: string;
  declare readonly offset: number;
  declare readonly size: number;
  constructor(offset: number) {
    this.kind = "be64";
    this.offset = offset;
    this.size = 8;
  }
  get(memory: Memory, base: number): number {
    const at = base + this.offset;
    return memory.getUint32(at, false) * TWO_32 + memory.getUint32(at + 4, false);
  }
  set(memory: Memory, base: number, value: number): void {
    assertUnsigned53(value);
    const at = base + this.offset;
    memory.setUint32(at, Math.floor(value / TWO_32), false);
    memory.setUint32(at + 4, value >>> 0, false);
  }
}

/** A run of raw bytes; `get` copies them out, `set` pads with zeros. */
class Bytes implements Field<Uint8Array> {
  declare readonly kind: string;
  declare readonly offset: number;
  declare readonly size: number;
  constructor(offset: number, size: number) {
    this.kind = `u8[${size}]`;
    this.offset = offset;
    this.size = size;
  }
  get(memory: Memory, base: number): Uint8Array {
    return copyOf(memory, base + this.offset, this.size);
  }
  set(memory: Memory, base: number, value: Uint8Array): void {
    assert(value.length <= this.size, "value longer than its field");
    const at = base + this.offset;
    copyIn(memory, at, value);
    fill(memory, at + value.length, this.size - value.length, 0);
  }
}

/** Places fields one after the other, packed, as C would with `__attribute__((packed))`. */
export class Cursor {
  #offset = 0;

  /** Where the next field goes. */
  get offset(): number {
    return this.#offset;
  }

  /** `__u8` */
  u8(): Field<number> {
    return new U8(this.#take(1));
  }

  /** `__le16` */
  le16(): Field<number> {
    return new LE16(this.#take(2));
  }

  /** `__le32` */
  le32(): Field<number> {
    return new LE32(this.#take(4));
  }

  /** `__le64` */
  le64(): Field<number> {
    return new LE64(this.#take(8));
  }

  /** `__le64`, exact where values may reach 2^53. */
  bigLe64(): Field<bigint> {
    return new BigLE64(this.#take(8));
  }

  /** `__be16` */
  be16(): Field<number> {
    return new BE16(this.#take(2));
  }

  /** `__be32` */
  be32(): Field<number> {
    return new BE32(this.#take(4));
  }

  /** `__be64` */
  be64(): Field<number> {
    return new BE64(this.#take(8));
  }

  /** `__u8[length]` */
  bytes(length: number): Field<Uint8Array> {
    return new Bytes(this.#take(length), length);
  }

  #take(size: number): number {
    const offset = this.#offset;
    this.#offset += size;
    return offset;
  }
}

/** Fields by name. */
export type Fields = Readonly<Record<string, Field<unknown>>>;

/** The plain-object form of a structure. */
export type Decoded<S extends Fields> = {
  -readonly [K in keyof S]: S[K] extends Field<infer T> ? T : never;
};

/** The name and size of a structure; kept apart so that the fields object stays a plain literal. */
export interface Shape {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
}

const shapes = new WeakMap<Fields, Shape>();

/**
 * Defines a structure. `place` must return an object literal: that is what keeps the result in V8's
 * fast mode, and what gives it its type.
 */
export function struct<const S extends Fields>(
  name: string,
  size: number,
  place: (cursor: Cursor) => S,
): Readonly<S> {
  const cursor = new Cursor();
  const fields = Object.freeze(place(cursor));
  assert(
    cursor.offset === size,
    () => `${name}: fields cover ${cursor.offset} bytes, expected ${size}`,
  );
  shapes.set(fields, { name, size });
  return fields;
}

/** The name and size of a structure, or `undefined` for any other object. */
export function shapeOf(type: object): Shape | undefined {
  return shapes.get(type as Fields);
}

/** The size of a structure in bytes. */
export function sizeof(type: Fields): number {
  const shape = shapes.get(type);
  assert(shape !== undefined, "sizeof: not a structure");
  return shape.size;
}

/** Reads every field into a plain object: for dumps, the CLI and tests, not for hot paths. */
export function decode<S extends Fields>(type: S, memory: Memory, base = 0): Decoded<S> {
  assert(base + sizeof(type) <= memory.byteLength, () => `${shapes.get(type)?.name}: truncated`);
  const entries = Object.entries(type).map(([key, field]) => [key, field.get(memory, base)]);
  return Object.fromEntries(entries) as Decoded<S>;
}
