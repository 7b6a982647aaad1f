/**
 * Folders for files of tests: one on a disk, one in RAM.
 */
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

function writable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Parents of scratch folders by what they are on; tmpfs only where the machine has one. */
export const places: Readonly<Record<string, string>> = {
  disk: tmpdir(),
  ...(writable("/dev/shm") ? { tmpfs: "/dev/shm" } : {}),
};

/** A path in a new folder on `parent`, removed after the test. */
export function scratch(parent: string = tmpdir(), name = "media.img"): string {
  const folder = mkdtempSync(join(parent, "daxkit-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, name);
}
