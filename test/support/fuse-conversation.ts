/**
 * The volume of the recorded conversation: the same bytes, the same numbers and the same times
 * whenever the same is said, however often the code in between looks at the clock.
 */
import { ext } from "../../src/fs/ext/ext.ts";
import type { Environment } from "../../src/lib/environment.ts";
import { Prng } from "../../src/lib/prng.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { makeVolume } from "../../src/node/make-volume.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { ToyDisk } from "./toy-disk.ts";

const PAGES = 4096;
const START = 1_700_000_000;

/** What time is: a millisecond a request. */
export interface RequestClock {
  requests: number;
}

/** An environment in which everything follows from how many requests there were. */
function environmentOf(clock: RequestClock): Environment {
  return {
    clock: {
      now: () => ({
        sec: START + Math.floor(clock.requests / 1000),
        nsec: (clock.requests % 1000) * 1_000_000,
      }),
    },
    random: { fill: (target) => new Prng(clock.requests).fill(target) },
    trace: { event: () => {} },
  };
}

/** A new volume, and its clock. */
export function conversationTree(): {
  readonly tree: FileTree;
  readonly clock: RequestClock;
  readonly bytes: Uint8Array<ArrayBuffer>;
} {
  const clock: RequestClock = { requests: 0 };
  const environment = environmentOf(clock);
  const { bytes, disk } = new ToyDisk({ pages: PAGES });
  makeVolume(RamMedia.over(bytes), { blockSize: 4096, environment });
  const tree = new FileTree(ext.mount(disk, { write: true }, environment));
  return { tree, clock, bytes };
}
