/**
 * Writing 10 GiB to one file, and cutting it to nothing: what it takes of memory over the media,
 * and whether the last GiB is written as fast as the first. The device keeps metadata only and
 * drops what files hold, so that nothing but the driver is measured.
 */
import { type BlockDevice, SECTOR_SIZE } from "../src/block/block-device.ts";
import { ext } from "../src/fs/ext/ext.ts";
import { makeExt } from "../src/fs/ext/mkfs.ts";
import { systemEnvironment } from "../src/node/environment.ts";
import { S_IFREG } from "../src/vfs/modes.ts";
import { median, report } from "./measure.ts";

const GIB = 2 ** 30;
const DISK = 12 * GIB;
const FILE = 10 * GIB;
const PIECE = new Uint8Array(1 << 20).fill(1);

/** A disk of sectors that were written, without the contents of files. */
class ForgetfulDisk implements BlockDevice {
  readonly name = "sparse0";
  readonly sectors = DISK / SECTOR_SIZE;
  readonly limits = { logicalBlockSize: SECTOR_SIZE, physicalBlockSize: 4096 };
  readonly readOnly = false;
  readonly dax = undefined;
  /** Whether what files hold is dropped: mkfs writes bytes, too. */
  forgets = false;
  readonly #kept = new Map<number, Uint8Array>();

  read(sector: number, target: Uint8Array): void {
    this.readBytes(sector * SECTOR_SIZE, target);
  }

  write(sector: number, source: Uint8Array): void {
    this.#store(sector * SECTOR_SIZE, source);
  }

  writeZeroes(sector: number, sectors: number): void {
    for (const n of this.#kept.keys()) {
      if (n >= sector && n < sector + sectors) this.#kept.delete(n);
    }
  }

  discard(): void {
    // Nothing is kept that could be given back.
  }

  flush(): void {
    // Nothing waits.
  }

  readBytes(offset: number, target: Uint8Array): void {
    for (let done = 0; done < target.length;) {
      const [sector, within] = place(offset + done);
      const run = Math.min(SECTOR_SIZE - within, target.length - done);
      const kept = this.#kept.get(sector);
      if (kept === undefined) target.fill(0, done, done + run);
      else target.set(kept.subarray(within, within + run), done);
      done += run;
    }
  }

  writeBytes(offset: number, source: Uint8Array): void {
    if (!this.forgets) this.#store(offset, source);
  }

  #store(offset: number, source: Uint8Array): void {
    for (let done = 0; done < source.length;) {
      const [sector, within] = place(offset + done);
      const run = Math.min(SECTOR_SIZE - within, source.length - done);
      const kept = this.#kept.get(sector) ?? new Uint8Array(SECTOR_SIZE);
      kept.set(source.subarray(done, done + run), within);
      this.#kept.set(sector, kept);
      done += run;
    }
  }
}

function place(offset: number): readonly [sector: number, within: number] {
  return [Math.floor(offset / SECTOR_SIZE), offset % SECTOR_SIZE];
}

function milliseconds(body: () => void): number {
  const start = process.hrtime.bigint();
  body();
  return Number(process.hrtime.bigint() - start) / 1e6;
}

for (const type of ["ext4", "ext3"] as const) {
  const disk = new ForgetfulDisk();
  makeExt(disk, { type, blockSize: 4096 }, systemEnvironment);
  disk.forgets = true;
  const filesystem = ext.mount(disk, { write: true }, systemEnvironment);
  const root = filesystem.root.writing;
  const file = root?.make("large", { mode: S_IFREG | 0o644, uid: 0, gid: 0 }).writing;
  if (file === undefined) throw new Error("the filesystem is read-only");
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  const times: number[] = [];
  let most = 0;
  for (let at = 0; at < FILE; at += GIB) {
    times.push(
      milliseconds(() => {
        for (let done = 0; done < GIB; done += PIECE.length) file.write(PIECE, at + done);
      }),
    );
    most = Math.max(most, process.memoryUsage().rss - before);
  }
  const cut = milliseconds(() => {
    file.truncate(0);
    file.sync("all");
  });
  filesystem.unmount();
  const [first, last] = [median(times.slice(0, 5)), median(times.slice(5))];
  report({
    what: `memory that 10 GiB in one file take on ${type}`,
    figure: `${(most / 2 ** 20).toFixed(0)} MiB`,
    target: "below 100 MiB over the media",
    met: most < 100 * 2 ** 20,
    detail: `cutting it to nothing takes ${cut.toFixed(0)} ms`,
  });
  report({
    what: `the last 5 GiB beside the first, ${type}`,
    figure: `${(last / first).toFixed(2)}x`,
    target: "at most 1.5x a GiB",
    met: last <= 1.5 * first,
    detail: `${first.toFixed(0)} and ${last.toFixed(0)} ms a GiB, without the copy`,
  });
}
