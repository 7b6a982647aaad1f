/**
 * Freezing a filesystem of which a million pages are mapped and clean, and ten dirty: what it costs
 * follows from the ten. Beside it the same with a thousand clean ones, on ext4 in memory.
 */
import { createPmem } from "../src/drivers/pmem.ts";
import { ext } from "../src/fs/ext/ext.ts";
import { makeExt } from "../src/fs/ext/mkfs.ts";
import { seededEnvironment } from "../src/lib/environment.ts";
import { RamMedia } from "../src/media/ram.ts";
import { FileTree } from "../src/vfs/file-tree.ts";
import { freezeFilesystem, thawFilesystem } from "../src/vfs/freezing.ts";
import { race, report } from "./measure.ts";

const PAGE = 4096;
const DIRTY = 10;

/** Pages in 2 MiB: a hole of that size would be one page of zeros. */
const HUGE = 512;

/** A filesystem with one file, of which so many pages were loaded from, through a mapping. */
function mounted(pages: number) {
  const media = new RamMedia(64 << 20);
  const pmem = createPmem({ name: "pmem0", media, start: 0, length: media.size, physicalStart: 0 });
  const environment = seededEnvironment(1);
  makeExt(pmem.disk, { type: "ext4", blockSize: PAGE }, environment);
  const tree = new FileTree(ext.mount(pmem.disk, { write: true }, environment));
  const file = tree.open("/file", { create: true, access: "readwrite" });
  file.truncate((DIRTY + pages) * PAGE);
  const mapping = file.map({ access: "write", lazy: true });
  for (let i = 0; i < pages; i += HUGE) mapping.setUint8((DIRTY + i) * PAGE, 1);
  mapping.flush();
  for (let i = 0; i < pages; i++) mapping.getUint8((DIRTY + i) * PAGE);
  return { tree, mapping };
}

const cycle = ({ tree, mapping }: ReturnType<typeof mounted>) => ({
  name: "ten stores, freeze and thaw",
  run(times: number) {
    const { filesystem } = tree.mounts.root;
    for (let i = 0; i < times; i++) {
      for (let page = 0; page < DIRTY; page++) mapping.setUint8(page * PAGE, i & 0xff);
      freezeFilesystem(filesystem);
      thawFilesystem(filesystem);
    }
  },
});

const [few = 0, many = 0] = race(cycle(mounted(1000)), cycle(mounted(1_000_000)));
const ratio = many / few;
report({
  what: "ten stores, freeze and thaw, with 1,000,000 clean mapped pages against 1,000",
  figure: `${ratio.toFixed(2)}x`,
  target: "at most 1.5x",
  met: ratio <= 1.5,
  detail: `${(few / 1000).toFixed(1)} us with 1,000, ${(many / 1000).toFixed(1)} us with 1,000,000`,
});
