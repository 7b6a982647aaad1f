/**
 * Read-only check of an ext2, ext3 or ext4 filesystem, in the manner of `e2fsck -fn`: every
 * structure, every inode, every directory, and all counts against what is really in use.
 *
 * Memory is a few bits for each block and inode in use. Whatever the bytes are, the check ends, and
 * what it cannot make sense of is a finding.
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import { Buffers } from "../../block/buffers.ts";
import {
  EXT4_FEATURE_INCOMPAT_RECOVER,
  EXT4_SUPERBLOCK_OFFSET,
  EXT4_SUPER_MAGIC,
  Ext4SuperBlock as SB,
} from "../../format/ext-superblock.ts";
import type { Environment } from "../../lib/environment.ts";
import { isDaxError } from "../../lib/errno.ts";
import { sizeof } from "../../lib/struct.ts";
import type { Finding } from "../../vfs/filesystem.ts";
import { checkBitmaps } from "./check-bitmaps.ts";
import { CheckContext, Findings, hex } from "./check-context.ts";
import { checkDirectories } from "./check-directories.ts";
import { checkGroups } from "./check-groups.ts";
import { checkInodes } from "./check-inodes.ts";
import { checkJournal } from "./check-journal.ts";
import { checkConnections, checkLinks } from "./check-links.ts";
import { checkOrphans } from "./check-orphans.ts";
import { checkQuota } from "./check-quota.ts";
import { checkResizeInode } from "./check-resize.ts";
import { checkShared } from "./check-shared.ts";
import { checkSuperblock, parseForCheck, readRawSuperblock } from "./check-superblock.ts";
import { checkAttributeReferences } from "./check-xattr.ts";
import { hasIncompat } from "./features.ts";

/**
 * Checks the filesystem on `device` without writing to it. A clean one yields nothing; one with a
 * dirty journal yields a note, and is checked as replayed in memory. Never throws for what is on
 * the media: reading that becomes impossible ends in a finding `ext.check.stopped`.
 */
export function* checkExt(device: BlockDevice, env: Environment): Generator<Finding> {
  const findings = new Findings();
  try {
    const context = openForCheck(device, env, findings);
    yield* findings.take();
    if (context === undefined) {
      const text = "nothing else can be checked without a superblock that makes sense";
      yield stopped("superblock", text);
      return;
    }
    yield* passes(context);
  } catch (error) {
    if (!isDaxError(error)) throw error;
    yield* findings.take();
    yield stopped(device.name, `the check cannot go on: ${error.message}`);
  }
}

function stopped(where: string, text: string): Finding {
  return { code: "ext.check.stopped", severity: "error", where, text };
}

/** Reads the superblock, replays the journal, and reads the superblock once more. */
function openForCheck(
  device: BlockDevice,
  env: Environment,
  findings: Findings,
): CheckContext | undefined {
  const raw = readRawSuperblock(device);
  const magic = SB.magic.get(raw, 0);
  if (magic !== EXT4_SUPER_MAGIC) {
    const text = `magic is ${hex(magic)}, expected 0xef53: this is no ext filesystem`;
    findings.error("ext.super.magic", "superblock", text);
    return undefined;
  }
  const before = parseForCheck(raw, device, findings);
  if (before === undefined) return undefined;
  const buffers = new Buffers(device, before.blockSize);
  const fastCommits = checkJournal(before, buffers, env, findings);
  const dirty = hasIncompat(before, EXT4_FEATURE_INCOMPAT_RECOVER);
  const now = env.clock.now().sec;
  const given = { dirty, fastCommits, findings, now, trace: env.trace };
  if (buffers.overlaid === 0) {
    return new CheckContext(before, buffers, { ...given, raw });
  }
  const replayed = replayedSuperblock(buffers);
  const after = parseForCheck(replayed, device, findings);
  if (after === undefined || after.blockSize !== before.blockSize) return undefined;
  return new CheckContext(after, buffers, { ...given, raw: replayed });
}

function replayedSuperblock(buffers: Buffers): DataView<ArrayBuffer> {
  const block = Math.floor(EXT4_SUPERBLOCK_OFFSET / buffers.blockSize);
  const bytes = new Uint8Array(sizeof(SB));
  buffers.read(block, bytes, "superblock", EXT4_SUPERBLOCK_OFFSET % buffers.blockSize);
  return new DataView(bytes.buffer);
}

/** Groups that are checked at most: 2 PiB with 4 KiB blocks. */
const MOST_GROUPS = 1 << 24;

/** The passes in their order: each believes what the ones before it have collected. */
function* passes(context: CheckContext): Generator<Finding> {
  const { groups } = context.superblock;
  if (groups > MOST_GROUPS) {
    yield stopped("superblock", `${groups} groups are more than can be checked here`);
    return;
  }
  checkSuperblock(context);
  yield* context.findings.take();
  yield* checkGroups(context);
  checkResizeInode(context);
  yield* context.findings.take();
  yield* checkOrphans(context);
  yield* checkInodes(context);
  yield* checkAttributeReferences(context);
  yield* checkShared(context);
  yield* checkDirectories(context);
  yield* checkConnections(context);
  yield* checkLinks(context);
  yield* checkBitmaps(context);
  yield* checkQuota(context);
}
