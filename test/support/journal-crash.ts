/**
 * Programs on a journal and its filesystem's superblock, and every state in which a power cut may
 * leave them: what recovery makes of each has to be what some prefix of the program did.
 */
import type { Buffers } from "../../src/block/buffers.ts";
import { type Findings, explore } from "../../src/crash/explorer.ts";
import {
  EXT4_FEATURE_INCOMPAT_RECOVER,
  EXT4_SUPERBLOCK_OFFSET,
  Ext4SuperBlock as SB,
} from "../../src/format/ext-superblock.ts";
import { InPlaceJournal } from "../../src/fs/ext/in-place-journal.ts";
import { Journal, type JournalOptions } from "../../src/fs/ext/journal.ts";
import { discardJournal, recoverJournal } from "../../src/fs/ext/journal-recovery.ts";
import {
  isTornFlag,
  superblockChecksumOf,
  writeRecoverFlag,
} from "../../src/fs/ext/recover-flag.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";
import type { Torn } from "../../src/crash/versions.ts";
import {
  BLOCK,
  type FlushPlan,
  type JournalGeometry,
  buffersOn,
  cleanImage,
  mapOf,
} from "./journal-device.ts";

/** What a program has at hand. */
export interface Context {
  readonly buffers: Buffers;
  /** Mounts: recovers what needs it, and opens the journal. */
  readonly open: (options?: Partial<JournalOptions>) => Journal;
  readonly openInPlace: () => InPlaceJournal;
  /** From here on the first `n` steps are durable. */
  readonly promise: (n: number) => void;
}

/** A program on a journal, and what its device may hold afterwards. */
export interface Scenario {
  readonly name: string;
  readonly geometry: JournalGeometry;
  readonly run: (context: Context) => void;
  /** What is wrong with the blocks that recovery left, when the first `promised` steps count. */
  readonly check: (block: (n: number) => Uint8Array, promised: number) => string | undefined;
}

/** Recovers as a mount does. */
export function recover(buffers: Buffers, geometry: JournalGeometry): void {
  const map = mapOf(geometry);
  const bytes = new Uint8Array(BLOCK);
  buffers.device.readBytes(EXT4_SUPERBLOCK_OFFSET, bytes);
  const view = new DataView(bytes.buffer);
  const whole = superblockChecksumOf(bytes) === SB.checksum.get(view, 0);
  if (!whole && !isTornFlag(bytes)) throw new Error("the superblock is damaged");
  const flag = SB.featureIncompat.get(view, 0) & EXT4_FEATURE_INCOMPAT_RECOVER;
  if (whole && flag === 0) {
    discardJournal(buffers, map);
    return;
  }
  recoverJournal({ buffers, map });
  writeRecoverFlag(buffers, false);
}

function contextOn(buffers: Buffers, geometry: JournalGeometry, media: ModelledMedia): Context {
  return {
    buffers,
    open: (options) => {
      recover(buffers, geometry);
      const hooks = {
        beforeFirstCommit: () => writeRecoverFlag(buffers, true),
        afterClean: () => writeRecoverFlag(buffers, false),
      };
      const environment = seededEnvironment(1);
      return new Journal(buffers, mapOf(geometry), { environment, hooks, ...options });
    },
    openInPlace: () => new InPlaceJournal(buffers, { environment: seededEnvironment(1) }),
    promise: (n) => media.ack(n),
  };
}

/** How far a scenario is explored. */
export interface Extent {
  readonly depth?: number;
  readonly leaves?: number;
  readonly torn?: Torn;
  /** The first failure ends it, as it does when a flush is left out. */
  readonly stopAtFirst?: boolean;
}

/** Runs a scenario and cuts power wherever that makes a difference. */
export function cutEverywhere(
  scenario: Scenario,
  plan: FlushPlan = {},
  { depth = 2, leaves = 100_000, torn = "prefix", stopAtFirst = false }: Extent = {},
): Findings {
  const { geometry } = scenario;
  const initial = cleanImage(geometry);
  const media = new ModelledMedia(initial.length);
  media.recorder.image.set(initial);
  scenario.run(contextOn(buffersOn(media, plan), geometry, media));
  return explore({
    initial,
    modelled: {},
    trace: media.trace,
    torn,
    depth,
    budget: { leaves, steps: 10_000_000 },
    stopAtFirst: stopAtFirst || plan.without !== undefined,
    program: {
      recover: (found) => recover(buffersOn(found, plan), geometry),
      check: (found, acked) =>
        scenario.check(
          (n) => copyOf(found.window(0).memory, n * BLOCK, BLOCK),
          (acked.at(-1) as number | undefined) ?? 0,
        ),
    },
  });
}
