/**
 * Fills what is free in an image: whoever shows it later shows what was in a block before.
 */
import { isDaxError } from "../../src/lib/errno.ts";
import { mountToWrite, plainFile, writingOf } from "./ext-mounted.ts";

/** Every free block holds `value` afterwards. */
export function fillFree(image: Uint8Array, value: number): void {
  const filesystem = mountToWrite(image);
  const root = writingOf(filesystem.root);
  const file = root.make("fill", plainFile);
  const bytes = new Uint8Array(1 << 16).fill(value);
  try {
    for (;;) writingOf(file).write(bytes, file.size);
  } catch (error) {
    if (!isDaxError(error, "ENOSPC")) throw error;
  }
  root.unlink("fill");
  filesystem.unmount();
}
