/**
 * Page faults and msync of one page, in sparse files of 1 GiB and of 1 TiB on ext4 in memory: what
 * they cost follows from what is dirty, and not from how large the file is.
 */
import { createPmem } from "../src/drivers/pmem.ts";
import { ext } from "../src/fs/ext/ext.ts";
import { makeExt } from "../src/fs/ext/mkfs.ts";
import { seededEnvironment } from "../src/lib/environment.ts";
import { RamMedia } from "../src/media/ram.ts";
import { FileTree } from "../src/vfs/file-tree.ts";
import { race, report } from "./measure.ts";

const PAGE = 4096;
/** Pages that are stored to, in turns. */
const PAGES = 512;

const media = new RamMedia(64 << 20);
const pmem = createPmem({ name: "pmem0", media, start: 0, length: media.size, physicalStart: 0 });
const environment = seededEnvironment(1);
makeExt(pmem.disk, { type: "ext4", blockSize: PAGE }, environment);
const tree = new FileTree(ext.mount(pmem.disk, { write: true }, environment));

/** A sparse file of which some pages have blocks, far apart. */
function sparse(name: string, size: number) {
  const file = tree.open(name, { create: true, access: "readwrite" });
  file.truncate(size);
  const mapping = file.map({ access: "write", lazy: true });
  const step = Math.floor(size / PAGES / PAGE) * PAGE;
  const at = (i: number): number => (i % PAGES) * step;
  for (let i = 0; i < PAGES; i++) mapping.setUint8(at(i), 1);
  mapping.flush();
  return { mapping, at, file };
}

const small = sparse("/small", 2 ** 30);
const large = sparse("/large", 2 ** 40);
tree.sync();

/** A store that faults, since its page was written back, and the msync of that page. */
const cycle = ({ mapping, at }: ReturnType<typeof sparse>) => ({
  name: "fault and msync",
  run(times: number) {
    for (let i = 0; i < times; i++) {
      mapping.setUint8(at(i), i & 0xff);
      mapping.flush(at(i), 1);
    }
  },
});

const [ofSmall = 0, ofLarge = 0] = race(cycle(small), cycle(large));
const ratio = ofLarge / ofSmall;
report({
  what: "a write fault and an msync of one page, in 1 TiB against 1 GiB",
  figure: `${ratio.toFixed(2)}x`,
  target: "at most 1.5x",
  met: ratio <= 1.5,
  detail: `${(ofSmall / 1000).toFixed(1)} us in 1 GiB, ${(ofLarge / 1000).toFixed(1)} us in 1 TiB`,
});

/** All of a hole there to be loaded from, and then gone again. */
const lock = ({ file }: ReturnType<typeof sparse>) => ({
  name: "mlock of all of it",
  run(times: number) {
    for (let i = 0; i < times; i++) {
      const mapping = file.map({ access: "write", lazy: true });
      mapping.mlock();
      mapping.unmap();
    }
  },
});

const [lockSmall = 0, lockLarge = 0] = race(
  lock(sparse("/little", 2 ** 31)),
  lock(sparse("/much", 2 ** 40)),
);
report({
  what: "mlock of a file of 1 TiB that has 512 pages",
  figure: `${(lockLarge / 1e6).toFixed(0)} ms`,
  target: "at most 2 s",
  met: lockLarge <= 2e9,
  detail: `${(lockSmall / 1e6).toFixed(0)} ms of one of 2 GiB that has as many`,
});
