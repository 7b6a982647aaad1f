/**
 * Files and block devices of this machine as legs of mapped devices. Each is open, and locked
 * against other writers, while some table uses it.
 *
 * @module
 */
import { type Stats, accessSync, constants, statSync } from "node:fs";
import { basename, resolve } from "node:path";
import { SECTOR_SIZE } from "../../block/block-device.ts";
import type { DeviceNumber } from "../../block/device-numbers.ts";
import { PAGE_SIZE } from "../../dax/operations.ts";
import { type DeviceLookup, type KnownDevice, numberText } from "../../dm/device-directory.ts";
import { type Pmem, createPmem } from "../../drivers/pmem.ts";
import { DaxError } from "../../lib/errno.ts";
import { openFileMedia } from "../file-media.ts";
import { type FileMedia, deviceNumbers } from "../media-file.ts";
import { typed } from "../system-error.ts";

/** Files have no number of their own; this major is Linux's for local use. */
const FILE_MAJOR = 240;

interface Held {
  readonly key: string;
  readonly path: string;
  readonly known: KnownDevice;
  readonly media: FileMedia;
  readonly pmem: Pmem;
  /** Tables that have it open. */
  users: number;
}

/** See the module. */
export class HostDevices implements DeviceLookup {
  /** Where relative paths begin. */
  folder = "/";
  /** Opens what is not open yet for reading only. */
  readOnly = false;
  readonly #held = new Map<string, Held>();
  #minor = 0;

  /**
   * By path, or by the number of a block device or of a file that is in use.
   * @throws EBUSY when others write to it, EINVAL for what is no media, and what opening says
   */
  find(word: string): KnownDevice | undefined {
    const open = [...this.#held.values()].find(({ known }) => numberText(known.number) === word);
    if (open !== undefined) return open.known;
    const isNumber = /^\d+:\d+$/u.test(word);
    const path = isNumber ? `/dev/block/${word}` : resolve(this.folder, word);
    const stat = typed(path, () => statSync(path, { throwIfNoEntry: false }));
    if (stat === undefined) return undefined;
    const key = keyOf(stat);
    const held = this.#held.get(key) ?? this.#open(path, key, stat);
    return held.known;
  }

  /** The path of a file by the number that it was given; undefined for all else. */
  pathOf(number: string): string | undefined {
    for (const { known, path } of this.#held.values()) {
      if (known.number.major === FILE_MAJOR && numberText(known.number) === number) return path;
    }
    return undefined;
  }

  /** Closes what no table uses. */
  sweep(): void {
    for (const held of this.#held.values()) {
      if (held.users > 0) continue;
      this.#held.delete(held.key);
      held.pmem.remove();
      held.media.close();
    }
  }

  #open(path: string, key: string, stat: Stats): Held {
    const readOnly = this.readOnly || !isWritable(path);
    const media = openFileMedia(path, { readOnly, followCuts: true });
    try {
      if (media.size < PAGE_SIZE) {
        const detail = `${media.size} bytes; a device has a page of ${PAGE_SIZE} at least`;
        throw new DaxError("EINVAL", { syscall: "open", path, detail });
      }
      const range = { media, start: 0, length: media.size, physicalStart: 0 };
      const pmem = createPmem({ ...range, name: path, readOnly });
      const isBlock = stat.isBlockDevice();
      const number = isBlock ? deviceNumbers(stat.rdev) : this.#freeNumber();
      const known: KnownDevice = {
        name: isBlock ? basename(path) : path,
        number,
        device: pmem.disk,
        opened: (by) => (held.users += by),
        ...(isBlock ? {} : { present: () => presentSectors(path, key, media.size) }),
      };
      const held: Held = { key, path, known, media, pmem, users: 0 };
      this.#held.set(key, held);
      return held;
    } catch (error) {
      media.close();
      throw error;
    }
  }

  #freeNumber(): DeviceNumber {
    return { major: FILE_MAJOR, minor: this.#minor++ };
  }
}

function keyOf(stat: Stats): string {
  return stat.isBlockDevice() ? `block ${stat.rdev}` : `${stat.dev} ${stat.ino}`;
}

/** Of a file that others may cut; of one that has another name now, what it had. */
function presentSectors(path: string, key: string, opened: number): number {
  const stat = typed(path, () => statSync(path, { throwIfNoEntry: false }));
  const size = stat !== undefined && keyOf(stat) === key ? stat.size : opened;
  return Math.floor(size / SECTOR_SIZE);
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
