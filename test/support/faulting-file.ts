/** A file whose pages get memory when they are stored to, and areas that map it. */
import { AddressSpace } from "../../src/dax/address-space.ts";
import type { FaultedFile } from "../../src/dax/fault-backing.ts";
import type { Iomap, IomapIntent } from "../../src/dax/iomap.ts";
import { type AreaOwner, MappedArea, type MappedAreaOptions } from "../../src/dax/mapped-area.ts";
import { type FakeDax, fakeDax, storeOver } from "./dax-fakes.ts";

const PAGE = 4096;

/** Extents by page; what is not there is a hole, and gets `room` pages when it is stored to. */
export class FaultingFile implements FaultedFile {
  size: number;
  mapGeneration = 1;
  /** Pages of the device, by pages of the file. */
  readonly pages = new Map<number, number>();
  /** The next page of the device that is free. */
  free = 0;
  /** Whether metadata is durable. */
  durable = true;
  readonly fake: FakeDax;

  constructor(pages: number, fake: FakeDax = fakeDax(4096)) {
    this.size = pages * PAGE;
    this.fake = fake;
  }

  iomapBegin(offset: number, length: number, intent: IomapIntent): Iomap {
    const page = Math.floor(offset / PAGE);
    const fresh = intent === "fault" && !this.pages.has(page);
    if (fresh) this.allocate(page, Math.ceil(length / PAGE));
    const { device, bytes } = this.fake;
    const range = { device, start: 0, length: bytes.length };
    const common = { range, store: storeOver(bytes), fresh, dirty: !this.durable };
    let first = page;
    let last = page;
    const at = this.pages.get(page);
    const follows = (other: number): boolean =>
      at === undefined ? !this.pages.has(other) : this.pages.get(other) === at + other - page;
    while (first > 0 && page - first < 600 && follows(first - 1)) first--;
    while (last - page < 1200 && follows(last + 1)) last++;
    return {
      ...common,
      type: at === undefined ? "hole" : "mapped",
      offset: first * PAGE,
      length: (last + 1 - first) * PAGE,
      addr: ((at ?? 0) - (at === undefined ? 0 : page - first)) * PAGE,
    };
  }

  allocate(page: number, count = 1): void {
    for (let i = 0; i < count; i++) {
      if (this.pages.has(page + i)) break;
      this.pages.set(page + i, this.free++);
    }
    this.durable = false;
    this.mapGeneration++;
  }

  /** Takes pages away, as a punch does. */
  punch(page: number, count = 1): void {
    for (let i = 0; i < count; i++) this.pages.delete(page + i);
    this.mapGeneration++;
  }
}

/** A space, its file, and who maps it. */
export interface Faulting {
  readonly file: FaultingFile;
  readonly space: AddressSpace;
  readonly map: (options?: Partial<MappedAreaOptions>, owner?: Partial<AreaOwner>) => MappedArea;
}

/** A file of so many pages without memory. */
export function faulting(pages: number, file = new FaultingFile(pages)): Faulting {
  const space = new AddressSpace({ owner: "fake0", ino: 12 });
  return {
    file,
    space,
    map: (options = {}, owner = {}) => {
      const all = { space, file, offset: 0, length: file.size, ...options };
      const area = new MappedArea(all, {
        describe: () => "an area",
        pinsBlocks: () => false,
        beforeStore: () => {},
        syncData: () => void (file.durable = true),
        readByCall: (target) => void target.fill(0),
        writeByCall: () => {},
        writeBack: () => {},
        unmapped: () => {},
        takeBack: () => {},
        detach: () => {},
        ...owner,
      });
      space.attach(area);
      return area;
    },
  };
}

/** The byte at an offset of the file, through an area. */
export function byteAt(area: MappedArea, at: number): number {
  const byte = new Uint8Array(1);
  area.load(at, byte);
  return byte[0] as number;
}
