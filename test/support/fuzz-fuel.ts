/**
 * Devices with a limited number of reads, and media that nothing may be written to. The core has no
 * clock, so running out of fuel is how a reader that does not come to an end is noticed.
 */
import type { BlockDevice } from "../../src/block/block-device.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { AssertionError } from "../../src/lib/errno.ts";
import type { Memory, RecordedMemory } from "../../src/lib/memory.ts";
import { RamMedia } from "../../src/media/ram.ts";
import type { Window } from "../../src/media/media.ts";

/** What a reader may spend: loads and requests, and the bytes that they move. */
export class Fuel {
  readonly steps: number;
  readonly bytes: number;
  #steps = 0;
  #bytes = 0;

  constructor(steps: number, bytes: number) {
    this.steps = steps;
    this.bytes = bytes;
  }

  /** @throws AssertionError when nothing is left */
  burn(bytes: number): void {
    this.#steps++;
    this.#bytes += bytes;
    if (this.#steps > this.steps) throw new AssertionError(`more than ${this.steps} loads`);
    if (this.#bytes > this.bytes) throw new AssertionError(`more than ${this.bytes} bytes loaded`);
  }
}

function refuseStore(what: string): never {
  throw new AssertionError(`${what}: a reader writes to the media`);
}

/** A disk over bytes, without dax, that counts requests and refuses to be written. */
export function fuelDisk(name: string, bytes: Uint8Array, fuel: Fuel): BlockDevice {
  const disk = new RamDisk({ name, bytes });
  return {
    name,
    sectors: disk.sectors,
    limits: disk.limits,
    readOnly: false,
    dax: undefined,
    read(sector, target): void {
      fuel.burn(target.length);
      disk.read(sector, target);
    },
    readBytes(offset, target): void {
      fuel.burn(target.length);
      disk.readBytes(offset, target);
    },
    write: () => refuseStore("write"),
    writeBytes: () => refuseStore("writeBytes"),
    writeZeroes: () => refuseStore("writeZeroes"),
    discard: () => refuseStore("discard"),
    flush: () => {},
  };
}

/** Memory that counts loads and refuses stores. */
class FuelMemory implements RecordedMemory {
  readonly byteLength: number;
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #fuel: Fuel;

  constructor(bytes: Uint8Array, fuel: Fuel) {
    this.byteLength = bytes.length;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#fuel = fuel;
  }

  getUint8(at: number): number {
    this.#fuel.burn(1);
    return this.#view.getUint8(at);
  }

  getUint16(at: number, littleEndian?: boolean): number {
    this.#fuel.burn(2);
    return this.#view.getUint16(at, littleEndian);
  }

  getUint32(at: number, littleEndian?: boolean): number {
    this.#fuel.burn(4);
    return this.#view.getUint32(at, littleEndian);
  }

  getInt32(at: number, littleEndian?: boolean): number {
    this.#fuel.burn(4);
    return this.#view.getInt32(at, littleEndian);
  }

  getBigUint64(at: number, littleEndian?: boolean): bigint {
    this.#fuel.burn(8);
    return this.#view.getBigUint64(at, littleEndian);
  }

  copyOut(at: number, target: Uint8Array): void {
    this.#fuel.burn(target.length);
    target.set(new Uint8Array(this.#view.buffer, this.#view.byteOffset + at, target.length));
  }

  alias(at: number, length: number): Uint8Array {
    this.#fuel.burn(0);
    return this.#bytes.subarray(at, at + length);
  }

  setUint8(): void {
    refuseStore("setUint8");
  }

  setUint16(): void {
    refuseStore("setUint16");
  }

  setUint32(): void {
    refuseStore("setUint32");
  }

  setBigUint64(): void {
    refuseStore("setBigUint64");
  }

  store(): void {
    refuseStore("store");
  }

  copyIn(): void {
    refuseStore("copyIn");
  }

  fill(): void {
    refuseStore("fill");
  }

  storeAtom(): void {
    refuseStore("storeAtom");
  }
}

/** RAM media over bytes whose memory counts loads and refuses stores. */
export class FuelMedia extends RamMedia {
  readonly #window: Window;

  constructor(bytes: Uint8Array, fuel: Fuel) {
    super(bytes.length);
    const memory: Memory = new FuelMemory(bytes, fuel);
    this.#window = { start: 0, length: bytes.length, memory };
  }

  override window(): Window {
    return this.#window;
  }
}
