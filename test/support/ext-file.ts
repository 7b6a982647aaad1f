/**
 * A file on a small filesystem that is mounted for writing.
 */
import { expect } from "vitest";
import { daxRead } from "../../src/dax/file-io.ts";
import type { ExtEditor } from "../../src/fs/ext/editor.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import type { Handle } from "../../src/fs/ext/handle.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import type { ExtWriting } from "../../src/fs/ext/writing.ts";
import type { Environment } from "../../src/lib/environment.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import { emptyImage } from "./ext-cut-work.ts";
import { mountToWrite, plainFile, writingOf } from "./ext-mounted.ts";
import { complaints } from "./ext-writing.ts";

export const EXT4 = { type: "ext4", blockSize: 4096 } as const;
export const EXT4_1K = { type: "ext4", blockSize: 1024 } as const;
export const EXT3 = { type: "ext3", blockSize: 1024 } as const;

/** A filesystem with one empty file. */
export interface Mounted {
  readonly image: Uint8Array<ArrayBuffer>;
  readonly filesystem: ExtFilesystem;
  readonly file: Inode;
}

/** Makes one. */
export function mounted(
  options: MakeExtOptions,
  environment?: Environment,
  megabytes = 8,
): Mounted {
  const image = emptyImage(options, megabytes);
  const filesystem = mountToWrite(image, {}, environment);
  return { image, filesystem, file: writingOf(filesystem.root).make("file", plainFile) };
}

/** What a mount for writing holds, and a way to work on it. */
export function partsOf(filesystem: ExtFilesystem): {
  readonly writing: ExtWriting;
  readonly editor: ExtEditor;
  readonly operate: <T>(body: (handle: Handle) => T) => T;
} {
  const { writing } = filesystem;
  if (writing === undefined) throw new Error("the filesystem is read-only");
  const operate = <T>(body: (handle: Handle) => T): T => writing.operate(200, body);
  return { writing, editor: writing.editor, operate };
}

/** All bytes of a file. */
export function readAll(file: Inode): Uint8Array {
  const bytes = new Uint8Array(file.size);
  expect(daxRead(file, bytes, 0)).toBe(bytes.length);
  return bytes;
}

/** Ends it, and nobody has anything to say. */
export function end({ image, filesystem }: Mounted): void {
  filesystem.unmount();
  expect(complaints(image)).toEqual([]);
}
