/**
 * `daxkit tune` before tune2fs: told the same, both make the same bytes, and e2fsck is content.
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EXT4_MMP_SEQ_FSCK, MmpStruct } from "../../src/format/ext-group.ts";
import { runLine } from "../support/command-line.ts";
import { places } from "../support/scratch.ts";
import { EVERYTHING, WHOLE } from "../support/slices.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";

const judge = programs(["tune2fs", "mke2fs", "e2fsck", "debugfs"], "apt-get install e2fsprogs");
const version = judge.missing ? "" : String(spawnSync("mke2fs", ["-V"]).stderr);
const same = /mke2fs 1\.47\.0 /u.test(version);
const MADE = "1700000000";
const TUNED = "1700009999";

/** mke2fs's words: checksums of three kinds, every placement of copies, other sizes. */
const IMAGES: Readonly<Record<string, string>> = {
  ext4: "-t ext4 -b 1024 -g 1024 -N 64 4M",
  seeded: "-t ext4 -O metadata_csum_seed,orphan_file -b 1024 -g 1024 -N 64 4M",
  large: "-t ext4 -b 4096 -g 256 -O ^has_journal -N 64 3M",
  ext3: "-t ext3 -b 1024 -g 1024 -N 64 4M",
  ext2: "-t ext2 -b 2048 -O ^resize_inode,^dir_index -g 512 -N 64 3M",
  uninit: "-t ext4 -O ^metadata_csum,uninit_bg -b 1024 -g 1024 -N 64 4M",
  "uninit-meta":
    "-t ext4 -O ^metadata_csum,uninit_bg,meta_bg,^resize_inode,^64bit,^has_journal " +
    "-b 1024 -g 256 -N 512 9M",
  everywhere: "-t ext2 -O ^sparse_super,^resize_inode -b 1024 -g 512 -N 64 3M",
  sparse2: "-t ext4 -O sparse_super2,^resize_inode -b 1024 -g 1024 -N 64 4M",
  bigalloc: "-t ext4 -O bigalloc,^has_journal -C 4096 -b 1024 -g 1024 -N 64 4M",
  multimount: "-t ext4 -O mmp,^metadata_csum -b 1024 -N 64 4M",
};

const folder = fs.mkdtempSync(join(places["tmpfs"] ?? tmpdir(), "daxkit-tune-"));
const pathOf = (name: string): string => join(folder, `${name}.img`);

beforeAll(() => {
  process.env["SOURCE_DATE_EPOCH"] = TUNED;
  if (judge.missing) return;
  for (const [name, line] of Object.entries(IMAGES)) {
    const words = line.split(" ");
    const size = words.pop() as string;
    const uuid = ["-U", "11111111-2222-3333-4444-555555555555"];
    const seed = ["-E", "hash_seed=66666666-7777-8888-9999-aaaaaaaaaaaa"];
    const made = run("mke2fs", ["-q", "-F", ...uuid, ...seed, ...words, pathOf(name), size], MADE);
    if (made.status !== 0) throw new Error(`mke2fs, ${name}: ${made.stderr}`);
  }
});
afterAll(() => {
  delete process.env["SOURCE_DATE_EPOCH"];
  fs.rmSync(folder, { recursive: true });
});

function run(program: string, words: readonly string[], time = TUNED) {
  const env = { ...process.env, E2FSPROGS_FAKE_TIME: time };
  return spawnSync(program, words, { env, encoding: "utf8" });
}

/** Runs both on copies of an image. */
async function both(image: string, words: readonly string[]) {
  const [ours, theirs] = ["ours", "theirs"].map((who) => pathOf(`${image}-${who}`)) as [
    string,
    string,
  ];
  for (const copy of [ours, theirs]) fs.copyFileSync(pathOf(image), copy);
  const said = run("tune2fs", [...words, theirs]);
  const ended = await runLine(["tune", ...words, ours]);
  return { ours: fs.readFileSync(ours), theirs: fs.readFileSync(theirs), said, ended };
}

/** Where two images differ, for a message that can be read. */
function differences(left: Buffer, right: Buffer): number[] {
  if (left.equals(right)) return [];
  const found: number[] = [];
  for (let at = 0; at < left.length && found.length < 20; at++) {
    if (left[at] !== right[at]) found.push(at);
  }
  return found;
}

/** What tune2fs prints beside its version. */
function notes(stdout: string): string {
  return stdout.replace(/^tune2fs .*\n/u, "");
}

/** tune2fs waits ten seconds for an image with multi-mount protection. */
const everyone = Object.keys(IMAGES).filter((name) => name !== "multimount");
/** Enough of them for each option, all of them over a few. */
const PARTS = EVERYTHING ? 1 : WHOLE ? 2 : 5;
const some = (turn: number): string[] =>
  everyone.filter((_, index) => index % PARTS === turn % PARTS);

const LINES: readonly string[][] = [
  ["-L", "data"],
  ["-L", ""],
  ["-L", "exactly16bytes.."],
  ["-M", "/srv/data"],
  ["-c", "20"],
  ["-c", "-1"],
  ["-C", "7"],
  ["-i", "3m"],
  ["-i", "9"],
  ["-i", "90s"],
  ["-e", "remount-ro"],
  ["-m", "2.5"],
  ["-m", "33.3"],
  ["-r", "300"],
  ["-u", "1000", "-g", "disk"],
  ["-o", "journal_data_writeback,^acl"],
  ["-o", "nobarrier,discard,nodelalloc,block_validity"],
  ["-E", "stride=16,stripe_width=32"],
  ["-E", "hash_alg=tea"],
  ["-E", "mount_opts=noatime,test_fs"],
  ["-E", "force_fsck"],
  ["-E", "mmp_update_interval=0"],
  ["-O", "large_dir,ea_inode,stable_inodes,verity"],
  ["-O", "read-only"],
  ["-O", "^dir_nlink,^extra_isize"],
  ["-O", "dir_index,extent,flex_bg,large_file,huge_file,dir_nlink,extra_isize"],
  ["-O", "fast_commit"],
  ["-L", "x", "-c", "3", "-i", "1w", "-r", "5", "-O", "large_dir", "-E", "stride=3"],
];

describe.skipIf(judge.missing || !same)(`tune2fs 1.47.0${judge.hint}`, () => {
  test.each(LINES.map((words, turn) => [words.join(" "), turn] as const))(
    "the same bytes: tune %s",
    async (_, turn) => {
      const words = LINES[turn] as string[];
      const judged = some(turn).map(async (image) => {
        const { ours, theirs, said, ended } = await both(image, words);
        const checks = words.includes("force_fsck") ? [] : e2fsckSays(ours);
        const stdout = notes(said.stdout);
        expect({ image, ...ended }).toEqual({ image, status: 0, stdout, stderr: "" });
        expect({ image, at: differences(ours, theirs), checks }).toEqual({
          image,
          at: [],
          checks: [],
        });
      });
      await Promise.all(judged);
    },
  );

  test("a uuid, where it is no part of checksums or the group descriptors follow", async () => {
    const images = ["seeded", "ext3", "ext2", "uninit", "uninit-meta", "everywhere"];
    const judged = images.map(async (image, turn) => {
      const uuid = turn % 2 === 0 ? "clear" : "01234567-89ab-CDEF-0123-456789abcdef";
      const { ours, theirs, ended } = await both(image, ["-U", uuid]);
      const checks = e2fsckSays(ours);
      expect({ image, ...ended }).toEqual({ image, status: 0, stdout: "", stderr: "" });
      expect({ image, at: differences(ours, theirs), checks }).toEqual({
        image,
        at: [],
        checks: [],
      });
    });
    await Promise.all(judged);
  });

  test("the old seed of checksums is kept, and given up while it is the uuid's", async () => {
    const uuid = ["-U", "01234567-89ab-cdef-0123-456789abcdef"];
    const kept = await both("ext4", ["-O", "metadata_csum_seed", ...uuid]);
    expect(kept.ended.status).toBe(0);
    expect(differences(kept.ours, kept.theirs)).toEqual([]);
    expect(e2fsckSays(kept.ours)).toEqual([]);
    const back = await both("seeded", ["-O", "^metadata_csum_seed"]);
    expect(differences(back.ours, back.theirs)).toEqual([]);
    expect(e2fsckSays(back.ours)).toEqual([]);
  });

  test.each(["-O encrypt", "-O casefold", "-E encoding=utf8-12.1"])(
    "what only Linux reads: %s",
    async (line) => {
      const { ours, theirs, ended } = await both("ext4", line.split(" "));
      expect(ended).toMatchObject({ status: 0, stderr: "" });
      expect(differences(ours, theirs)).toEqual([]);
      expect(e2fsckSays(ours)).toEqual([]);
    },
  );

  test.each(["20250102", "20240229235959", "2025010203"])(
    "times are those of this machine's zone: %s",
    async (time) => {
      const { ours, theirs, ended } = await both("ext4", ["-T", time]);
      expect(ended).toEqual({ status: 0, stdout: "", stderr: "" });
      expect(differences(ours, theirs)).toEqual([]);
    },
  );

  test("with multi-mount protection the claim is made and given back", async () => {
    fs.copyFileSync(pathOf("multimount"), pathOf("ours"));
    const ended = await runLine(["tune", "-L", "shared", pathOf("ours")]);
    expect(ended).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(listed("ours")).toContain("Filesystem volume name:   shared");
    expect(e2fsckSays(fs.readFileSync(pathOf("ours")))).toEqual([]);
  });

  test("a claim that nobody gives back is taken away by force only", async () => {
    const bytes = fs.readFileSync(pathOf("multimount"));
    const block = Number(/MMP block number:\s+(\d+)/u.exec(listed("multimount"))?.[1]);
    bytes.writeUInt32LE(EXT4_MMP_SEQ_FSCK, block * 1024 + MmpStruct.seq.offset);
    fs.writeFileSync(pathOf("ours"), bytes);
    const busy = await runLine(["tune", "-L", "x", pathOf("ours")]);
    expect(busy.stderr).toContain("EBUSY");
    expect(fs.readFileSync(pathOf("ours")).equals(bytes)).toBe(true);
    const refused = await runLine(["tune", "-E", "clear_mmp", pathOf("ours")]);
    expect(refused).toMatchObject({ status: 2 });
    expect(refused.stderr).toContain("say -f as well");
    const ended = await runLine(["tune", "-f", "-E", "clear_mmp", pathOf("ours")]);
    expect(ended).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(e2fsckSays(fs.readFileSync(pathOf("ours")))).toEqual([]);
    expect((await runLine(["tune", "-L", "x", pathOf("ours")])).status).toBe(0);
  });

  test.each(Object.keys(IMAGES))("-l prints what tune2fs -l prints: %s", async (image) => {
    const copy = `${image}-listed`;
    fs.copyFileSync(pathOf(image), pathOf(copy));
    const words = ["-i", "5000000s", "-c", "30", "-E", "stride=4,mount_opts=foo", "-o", "debug"];
    expect((await runLine(["tune", ...words, pathOf(copy)])).status).toBe(0);
    expect((await runLine(["tune", "-l", pathOf(copy)])).stdout).toBe(listed(copy));
  });

  test("-l tells of errors, orphans and features without a name", async () => {
    fs.copyFileSync(pathOf("ext4"), pathOf("poked"));
    const edits: Readonly<Record<string, string>> = {
      error_count: "3",
      first_error_time: "20200101",
      first_error_ino: "12",
      first_error_block: "77",
      first_error_func: "ext4_lookup",
      first_error_line: "1234",
      last_error_time: "20200102030405",
      last_error_func: "htree_dirblock_to_tree",
      last_orphan: "14",
      jnl_backup_type: "2",
      journal_uuid: "01234567-89ab-cdef-0123-456789abcdef",
      errors: "9",
      creator_os: "7",
      state: "2",
      mtime: "20300101",
      kbytes_written: "123456789",
      feature_compat: "0x8000003c",
      def_hash_version: "5",
      mnt_count: "65535",
    };
    for (const [field, value] of Object.entries(edits)) {
      run("debugfs", ["-w", "-R", `ssv ${field} ${value}`, pathOf("poked")]);
    }
    const { stdout } = await runLine(["tune", "-l", pathOf("poked")]);
    expect(stdout).toBe(listed("poked"));
    expect(stdout).toContain("ext4_lookup");
  });
});

function listed(name: string): string {
  return notes(run("tune2fs", ["-l", pathOf(name)]).stdout);
}
