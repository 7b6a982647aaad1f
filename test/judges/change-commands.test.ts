/**
 * The commands that change images, before those of coreutils, attr and util-linux on a kernel's
 * mount: the same lines end alike, say alike, and leave the same tree, which the kernel reads.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeFolder } from "../support/host-tree.ts";
import { inSlices } from "../support/slices.ts";
import { type Ended, makeHost, ours, shownTree, theirs } from "./change-pair.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const tools = programs(
  ["mke2fs", "e2fsck", "getfattr", "setfattr", "fallocate"],
  "apt-get install e2fsprogs attr util-linux",
);
const kernel = loopMounts();

let cwd = "";
beforeAll(() => {
  cwd = makeFolder();
  fs.mkdirSync(join(cwd, "mount"));
  fs.mkdirSync(join(cwd, "read"));
});
afterAll(() => fs.rmSync(cwd, { recursive: true }));

const LINES = String.raw`
mkdir @/a @/b @/c
mkdir @/a
mkdir -v @/d @/nope/e
mkdir -p -v @/p/q/r/s
mkdir -pv @/p/q @/p/x
mkdir -m 700 @/m700
mkdir -m u=rwx,g=s,o= @/ms
mkdir -p -m 2771 @/ms/deep/er
mkdir -p @/a/../b/in
put %/small @/small
put %/small @/a
put -v %/small %/empty @/b
put %/big @/big
put %/sparse @/sparse
put %/nothing @/x
put %/small @/nope/x
put %/small %/empty @/small
put %/empty @/small
put %/small @/a/
put -T %/small @/a
put -t @/c %/small %/big
put -n %/big @/small
mkdir @/file-parent
put %/small @/file-parent/f/
put %/dir @/dirput
cp -r %/tree @/tree
cp -r %/tree @/tree
cp -r %/tree/. @/flat
cp -a %/tree @/archive
cp %/tree @/notree
cp -r %/tree @/small
cp -rv %/tree/sub @/a
cp -r @/tree @/tree2
cp -a @/archive @/archive2
cp -a @/archive/hard1 @/archive/link @/c
cp @/small @/small-copy
cp @/small @/small
cp -r @/tree @/tree/inside
cp -rT @/tree2 @/flat
cp @/nope @/b
cp @/small @/big @/nope
cp -p %/small @/pres
chmod 600 @/pres
cp %/small @/pres
cp -p %/tree/hard1 @/pres
cp -d %/tree/link @/dlink
cp %/small -t @/b
cp -f -t @/b %/small %/big
cp -t @/nope %/small
cp -t @/small %/small
cp -T -t @/b %/small
ln -s small @/link
ln -sv ../x/y @/a/link
ln -s small @/link
ln -sf big @/link
ln -s a @/dirlink
ln -s b @/dirlink
ln -sfn b @/dirlink
ln @/small @/hard
ln -v @/small @/a @/b
ln @/small @/hard
ln -f @/big @/hard
ln @/a @/adir
ln @/nope @/n
ln -s loop2 @/loop1
ln -s loop1 @/loop2
put %/small @/loop1
ln @/link @/link-hard
ln -L @/link @/link-file
ln -s target -t @/c
ln -sT x @/c/t2
chmod 600 @/small
chmod -v 4755 @/small
chmod -c 4755 @/small
chmod u-s,g+w,o= @/small
chmod -v +x @/hard
chmod -x @/hard
chmod a=rX @/a
chmod g=u @/b
chmod u+s,g+s,+t @/c
chmod 755 @/c
chmod 00755 @/c
chmod -R u=rwX,go=rX @/tree
chmod -R go-rx @/tree2
chmod -Rv go-rx @/b
chmod -R a+X @/archive2
chmod 777 @/link
chmod 777 @/nope
chmod -f 777 @/nope
chmod --reference=@/c @/b
chmod =,u=rw @/big
chmod 1777 @/d
chown 1000 @/small
chown -v 1000:1001 @/big
chown :7 @/a
chown daemon: @/b
chown -h 5:5 @/link
chown 6:6 @/link
chown -R 1000:1000 @/archive2
chown -Rv 3:4 @/b
chown -c 1000:1000 @/archive2
chown --from=1000 2:2 @/small
chown --from=99 3:3 @/small
chown --reference=@/big @/a
chown 1 @/nope
mv @/small @/renamed
mv -v @/renamed @/a
mv @/a/renamed @/big @/d
mv @/nope @/d
mv @/d @/d/e
mv @/d/renamed @/p/q
mv -T @/d @/p
mv @/d @/p/q/renamed
mv -n @/d/big @/p/q/renamed
mv -f @/d/big @/p/q/renamed
mv @/p/q/renamed @/p/q/renamed
mv -t @/c @/hard @/link
mv -T @/m700 @/empty-dir-to-be
mkdir @/e1 @/e2
mv -T @/e1 @/e2
mv @/tree @/flat @/c
mv @/c/tree/sub @/c
touch -d @1700000000 @/stamp
touch -c @/not-made
touch -a -d 2024-02-29T12:00:00Z @/stamp
touch -m -t 202301020304.05 @/stamp
touch -r @/stamp @/stamp2
touch @/nope/x
truncate -s 5000 @/t
truncate -s +100 @/t
truncate -s -50 @/t
truncate -s '<3000' @/t
truncate -s '>4000' @/t
truncate -s %512 @/t2
truncate -s 1M @/t3
truncate -s /4096 @/t
truncate -c -s 10 @/not-made
truncate -r @/t @/t4
truncate -r @/t -s +1K @/t5
truncate -s 10 @/a
truncate -s 10 @/nope/x
truncate -s 1KB @/kb
fallocate -l 100K @/fal
fallocate -p -o 8192 -l 8192 @/fal
fallocate -z -o 4000 -l 1000 @/fal
fallocate -n -l 300K @/fal
fallocate -c -o 0 -l 8192 @/fal
fallocate -i -o 8192 -l 16384 @/fal
fallocate -d @/fal
fallocate -l 1K @/a
fallocate -c -o 100 -l 100 @/fal
fallocate -l 1K @/nope/x
setfattr -n user.one -v value @/stamp
setfattr -n user.hex -v 0x0001ff @/stamp
setfattr -n user.b64 -v 0saGVsbG8= @/stamp
setfattr -n user.text -v 'a "quoted" line' @/stamp
setfattr -n user.empty @/stamp
setfattr -n trusted.t -v x @/a
setfattr -n user.x -v x @/nope
setfattr -x user.nope @/stamp
setfattr -x user.one @/stamp
setfattr -n odd.name -v x @/stamp
setfattr -h -n user.x -v x @/loop1
getfattr -d @/stamp
getfattr -d -e hex @/stamp
getfattr -m - -d @/a
getfattr -n user.text @/stamp
getfattr -n user.text --only-values @/stamp
getfattr -n user.nope @/stamp
getfattr @/stamp
getfattr -d @/nope
rm @/t2
rm @/t2
rm -f @/t2
rm @/a
rm -d @/e2
rm -d @/p
rm -v @/t3 @/nope @/t4
rm -rv @/archive2/sub
rm -rf @/c @/tree2 @/nope
rm -r @/dirlink
rm -rf @/a/.
rm -r @/p/..
rm @/loop1/x
mkdir @/`
  .trim()
  .split("\n");

/** Options that their versions do not have, or where the two differ on purpose. */
const LONG = `mkdir @/${"n".repeat(256)}`;

const FORMATS: Readonly<Record<string, readonly string[]>> = {
  ext4: ["-t", "ext4", "-b", "1024"],
  ext2: ["-t", "ext2", "-b", "4096"],
  inline: ["-t", "ext4", "-O", "inline_data,^has_journal", "-I", "512"],
};

describe.skipIf(tools.missing || kernel.missing)(
  `changing images as coreutils change a mount${tools.hint}${kernel.hint}`,
  () => {
    beforeAll(() => {
      fs.mkdirSync(join(cwd, "host"));
      makeHost(join(cwd, "host"));
    });

    test.each(inSlices(Object.keys(FORMATS), 3, 2))("%s", async (format) => {
      const [mine, image] = ["ours", "theirs"].map((who) => join(cwd, `${format}-${who}.img`)) as [
        string,
        string,
      ];
      execFileSync("mke2fs", ["-q", "-F", ...(FORMATS[format] as string[]), image, "24M"]);
      fs.copyFileSync(image, mine);
      const lines = [...LINES, LONG].filter(
        (line) => format !== "ext2" || !line.startsWith("fallocate"),
      );
      const expected: Ended[] = [];
      let tree = "";
      withLoopMount(image, join(cwd, "mount"), "rw", (mount) => {
        for (const line of lines) expected.push(theirs(line, mount, join(cwd, "host")));
        tree = shownTree(mount);
      });
      await expectAlike(lines, mine, expected);
      withLoopMount(mine, join(cwd, "read"), "ro", (mount) => {
        expect(shownTree(mount)).toBe(tree);
      });
      expect(e2fsckSays(fs.readFileSync(mine))).toEqual([]);
    });
  },
);

function differ(a: Ended, b: Ended | undefined): boolean {
  return JSON.stringify(a) !== JSON.stringify(b);
}

async function expectAlike(lines: readonly string[], image: string, expected: readonly Ended[]) {
  const found: Ended[] = [];
  for (const line of lines) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other, as they stand
    found.push(await ours(line, image, join(cwd, "host")));
  }
  const wrong = found.flatMap((one, i) => (differ(one, expected[i]) ? [[one, expected[i]]] : []));
  expect(wrong).toEqual([]);
}
