/**
 * Images that are written to: a volume with its editor and its journal, and what it leaves.
 */
import { RamDisk } from "../../src/block/ram-disk.ts";
import { Buffers } from "../../src/block/buffers.ts";
import { type ExtEditor, openEditor } from "../../src/fs/ext/editor.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import type { Handle, MetadataJournal } from "../../src/fs/ext/handle.ts";
import { InPlaceJournal } from "../../src/fs/ext/in-place-journal.ts";
import { Journal } from "../../src/fs/ext/journal.ts";
import { fixedMap } from "../../src/fs/ext/journal-map.ts";
import { writeRecoverFlag } from "../../src/fs/ext/recover-flag.ts";
import { journalMapOf, recoverOnDevice } from "../../src/fs/ext/recovery.ts";
import { readSuperblock } from "../../src/fs/ext/superblock.ts";
import { Volume } from "../../src/fs/ext/volume.ts";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { still } from "./ext-images.ts";

/** A filesystem that is being changed. */
export interface Writing {
  readonly volume: Volume;
  readonly editor: ExtEditor;
  readonly journal: MetadataJournal;
  /** Runs one operation; it joins the running transaction. */
  readonly operate: <T>(operation: (handle: Handle) => T) => T;
  /** Stores the totals, and leaves everything in its place. */
  readonly close: () => void;
}

/** Credits of one operation of a test: more than any needs. */
const CREDITS = 200;

/** Opens the filesystem on a device, with its journal where it has one, which is replayed first. */
export function openForWriting(device: BlockDevice, seed = 1): Writing {
  const environment = seededEnvironment(seed);
  const found = readSuperblock(device);
  const superblock = recoverOnDevice(found, device, environment.trace);
  const buffers = new Buffers(device, found.blockSize);
  const volume = new Volume(superblock, buffers, environment.trace);
  const hooks = {
    beforeFirstCommit: () => writeRecoverFlag(buffers, true),
    afterClean: () => writeRecoverFlag(buffers, false),
  };
  const journal =
    superblock.journalInum === 0
      ? new InPlaceJournal(buffers, { environment })
      : new Journal(buffers, fixedMap(journalMapOf(volume)), { environment, hooks });
  const editor = openEditor(volume, environment);
  const operate = <T>(operation: (handle: Handle) => T): T => {
    const handle = journal.start(CREDITS);
    try {
      return operation(handle);
    } finally {
      handle.stop();
    }
  };
  const close = (): void => {
    operate((handle) => editor.superblock.storeTotals(handle));
    journal.close();
  };
  return { volume, editor, journal, operate, close };
}

/** As `openForWriting`, on the bytes of an image. */
export function writeTo(bytes: Uint8Array, seed = 1): Writing {
  return openForWriting(new RamDisk({ name: "ram0", bytes }), seed);
}

/** What our own check has to say about an image, notes left out. */
export function complaints(bytes: Uint8Array): string[] {
  return complaintsOf(new RamDisk({ name: "ram0", bytes }));
}

/** The same of a device. */
export function complaintsOf(device: BlockDevice): string[] {
  const findings = [...ext.check(device, still)];
  return findings
    .filter(({ severity }) => severity !== "note")
    .map(({ code, where, text }) => `${code} ${where}: ${text}`);
}
