/**
 * The same folder twice, to be written to: one of the host, and one in a fresh volume, where it has
 * the same path; and what e2fsck says of the volume afterwards.
 */
import { spawnSync } from "node:child_process";
import * as nodeFs from "node:fs";
import { copyOut } from "../../src/lib/memory.ts";
import { RamMedia } from "../../src/media/ram.ts";
import type { MakeVolumeOptions } from "../../src/node/make-image.ts";
import { makeVolume } from "../../src/node/make-volume.ts";
import { type OpenVolumeOptions, type Volume, openVolume } from "../../src/node/volume.ts";
import { makeFolder } from "./host-tree.ts";

const SIZE = 2 ** 23;

/** A volume in memory, and its bytes. */
export interface RamVolume {
  readonly media: RamMedia;
  readonly volume: Volume;
}

/** Makes a filesystem in memory and opens it for writing. */
export function makeRamVolume(
  make: MakeVolumeOptions = {},
  open: OpenVolumeOptions = {},
  size = SIZE,
): RamVolume {
  const media = new RamMedia(size);
  makeVolume(media, { zeroed: true, ...make });
  return { media, volume: openVolume(media, { write: true, ...open }) };
}

/** All bytes of media. */
export function bytesOf({ media }: Pick<RamVolume, "media">): Uint8Array {
  const bytes = new Uint8Array(media.size);
  for (let at = 0; at < bytes.length;) {
    const { memory, start, length } = media.window(at);
    copyOut(memory, at - start, bytes.subarray(at, start + length));
    at = start + length;
  }
  return bytes;
}

/** What `e2fsck -fn` says of a volume that was closed: empty when it is clean. */
export function complaintsOf(of: Pick<RamVolume, "media">): string {
  const folder = makeFolder();
  try {
    const image = `${folder}/image`;
    nodeFs.writeFileSync(image, bytesOf(of));
    const { status, stdout, stderr } = spawnSync("e2fsck", ["-fn", image], { encoding: "utf8" });
    const extra = stdout
      .split("\n")
      .filter((line) => !/^(Pass \d|e2fsck |$)|: \d+\/\d+ files/u.test(line));
    const told = stderr.split("\n").filter((line) => !/^(e2fsck |$)/u.test(line));
    return [...(status === 0 ? [] : [`exit ${status}`]), ...extra, ...told].join("\n");
  } finally {
    nodeFs.rmSync(folder, { recursive: true });
  }
}

/** Both folders. */
export interface WritablePair extends RamVolume {
  /** The path that both have. */
  readonly root: string;
  end(): void;
}

/** Makes an empty pair. */
export function makeWritablePair(make: MakeVolumeOptions = {}, size = SIZE): WritablePair {
  const root = makeFolder();
  const made = makeRamVolume(make, {}, size);
  made.volume.fs.mkdirSync(root, { recursive: true });
  made.volume.fs.chmodSync(root, nodeFs.statSync(root).mode & 0o7777);
  return {
    ...made,
    root,
    end: () => {
      made.volume.close({ revoke: true });
      nodeFs.rmSync(root, { recursive: true, force: true });
    },
  };
}
