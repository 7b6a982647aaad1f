/**
 * Mounting a sparse 1 TiB ext4 image against a 64 MiB one, each in processes of their own, because
 * memory is compared too. The built code runs, without a TypeScript loader: the first window of a
 * mapping makes V8 collect garbage, and what that costs depends on how much code is loaded.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { makeImage, scratch } from "./images.ts";
import { median, report } from "./measure.ts";

interface Mount {
  readonly milliseconds: number;
  readonly rss: number;
}

/** Mounts once to load the code, then once more on the clock. */
const CHILD = `
import { openVolume } from ${JSON.stringify(join(import.meta.dirname, "../dist/node/volume.js"))};
const [path, small] = process.argv.slice(1);
openVolume(small).close();
gc();
const start = process.hrtime.bigint();
const volume = openVolume(path);
const milliseconds = Number(process.hrtime.bigint() - start) / 1e6;
volume.fs.readdirSync("/");
console.log(JSON.stringify({ milliseconds, rss: process.memoryUsage().rss / 1048576 }));
`;

function mount(path: string, small: string): Mount {
  const flags = ["--expose-gc", "--input-type=module", "-e", CHILD];
  const child = spawnSync(process.execPath, [...flags, path, small], { encoding: "utf8" });
  if (child.status !== 0) throw new Error(child.stderr);
  return JSON.parse(child.stdout) as Mount;
}

const root = scratch();
const large = makeImage(join(root, "large"), "1T");
const small = makeImage(join(root, "small"), "64M");
const warm = makeImage(join(root, "warm"), "8M");
const runs: { large: Mount[]; small: Mount[] } = { large: [], small: [] };
for (let round = 0; round < 5; round++) {
  runs.large.push(mount(large, warm));
  runs.small.push(mount(small, warm));
}
const time = median(runs.large.map(({ milliseconds }) => milliseconds));
const smallTime = median(runs.small.map(({ milliseconds }) => milliseconds));
const more = median(runs.large.map(({ rss }) => rss)) - median(runs.small.map(({ rss }) => rss));
report({
  what: "mount of a sparse 1 TiB ext4 image",
  figure: `${time.toFixed(1)} ms`,
  target: "under 20 ms",
  met: time < 20,
  detail: `a 64 MiB image takes ${smallTime.toFixed(1)} ms; file opened, mapped, probed, mounted`,
});
report({
  what: "memory of the 1 TiB mount, over that of a 64 MiB one",
  figure: `${more.toFixed(1)} MiB`,
  target: "at most 20 MiB",
  met: more <= 20,
  detail: "resident set of the process after listing the root directory",
});
