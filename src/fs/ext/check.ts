/**
 * Read-only check: what is wrong with an image, as findings instead of errors.
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import { Buffers } from "../../block/buffers.ts";
import type { Tracer } from "../../lib/environment.ts";
import { isDaxError } from "../../lib/errno.ts";
import type { Finding } from "../../vfs/filesystem.ts";
import { readSuperblock } from "./superblock.ts";
import { Volume } from "./volume.ts";

/** Checks the superblock and every group descriptor. @throws EIO */
export function* checkStructures(device: BlockDevice, trace: Tracer): Generator<Finding> {
  const superblock = yield* attempt("ext.superblock", "superblock", () => readSuperblock(device));
  if (superblock === undefined) return;
  const volume = new Volume(superblock, new Buffers(device, superblock.blockSize), trace);
  for (let group = 0; group < superblock.groups; group++) {
    yield* attempt("ext.group", `group ${group} descriptor`, () => volume.groups.read(group));
  }
}

/** What `read` answers; damage becomes a finding. */
function* attempt<T>(
  code: string,
  where: string,
  read: () => T,
): Generator<Finding, T | undefined> {
  try {
    return read();
  } catch (error) {
    if (!isDaxError(error, "EUCLEAN", "EBADMSG", "ENOTSUP")) throw error;
    yield { code, severity: "error", where, text: error.message };
    return undefined;
  }
}
