/**
 * Options of `prove` and `replay` with values that mean nothing: each is a mistake of use, said in
 * the command's own words before anything runs.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { prove } from "../../src/cli/commands/prove.ts";
import { replay } from "../../src/cli/commands/replay.ts";
import { Output } from "../../src/cli/output.ts";
import { runCommandLine } from "../../src/cli/run.ts";
import { loadProgram } from "../../src/node/load-program.ts";
import { Terminal } from "../../src/cli/terminal.ts";

let folder = "";

const proof = (name: string, more = ""): string =>
  `{ name: "${name}", ${more} workload: run, check: () => true }`;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "daxkit-usage-"));
  const ran = JSON.stringify(join(folder, "ran"));
  const body = `
    import { writeFileSync } from "node:fs";
    const run = () => writeFileSync(${ran}, "");
  `;
  const modules = {
    "file.mjs": `export default ${proof("files")};`,
    "memory.mjs": `export default ${proof("memory", "size: 4096,")};`,
    "disk.mjs": `export default ${proof("disk", 'model: "ext4-ordered",')};`,
    "program.mjs": "run();",
    "check.mjs": "export default () => true;",
  };
  for (const [name, text] of Object.entries(modules)) {
    writeFileSync(join(folder, name), body + text);
  }
  mkdirSync(join(folder, "mount"));
  writeFileSync(join(folder, "log"), "no log at all");
  // Run from sources, Node 20 has no hooks for TypeScript, and says so once; these need none.
  await loadProgram(join(folder, "check.mjs")).catch(() => {});
});
afterAll(() => rmSync(folder, { recursive: true }));

async function run(argv: readonly string[]): Promise<{ status: number; said: string }> {
  let said = "";
  const output = (): Output => new Output((bytes) => void (said += Buffer.from(bytes)), false);
  const terminal = new Terminal(output(), output(), { environment: {} });
  const at = { out: output(), terminal, commands: [prove, replay] };
  const status = await runCommandLine(argv, at);
  return { status, said };
}

const FILES = /file\.mjs|memory\.mjs|disk\.mjs|program\.mjs|check\.mjs|^mount$|^log$|^mount\/ack$/u;
const wordsOf = (line: string): string[] =>
  line.split(" ").map((word) => (FILES.test(word) ? join(folder, word) : word));

/** A command line, and what is said of it. */
const CASES: Readonly<Record<string, RegExp>> = {
  "prove file.mjs --budget 0": /'--budget' is '0'; it takes 1 or more/u,
  "prove file.mjs --budget -1": /'--budget' is '-1'; write an unsigned decimal number/u,
  "prove file.mjs --budget NaN": /'--budget' is 'NaN'/u,
  "prove file.mjs --budget 1e9": /'--budget' is '1e9'/u,
  "prove file.mjs --budget 99999999999999999999": /'--budget' is '9{20}'/u,
  "prove file.mjs --depth 0": /'--depth' is '0'; it takes 1 to 8/u,
  "prove file.mjs --depth 5": /with 'files', depth: 5; give 1 to 4/u,
  "prove memory.mjs --depth 9": /'--depth' is '9'; it takes 1 to 8/u,
  "prove file.mjs --depth -2": /'--depth' is '-2'/u,
  "prove file.mjs --patience 0": /'--patience' is '0'; it takes 1 to 86400 seconds/u,
  "prove file.mjs --patience 86401": /'--patience' is '86401'/u,
  "prove file.mjs --faults typo": /'--faults' is 'typo'; it takes all, or of enospc, write/u,
  "prove file.mjs --faults write,": /'--faults' is 'write,'/u,
  "prove file.mjs --faults all,write": /'--faults' is 'all,write'/u,
  "prove file.mjs --faults write@0": /'--faults' is 'write@0'/u,
  "prove file.mjs --faults write@x": /'--faults' is 'write@x'/u,
  "prove file.mjs --faults write@-1": /'--faults' is 'write@-1'/u,
  "prove memory.mjs --faults write": /'--faults' is for programs on files; 'memory' has memory/u,
  "prove memory.mjs --model ext2": /'--model' is for programs on files/u,
  "prove memory.mjs --commits asked": /'--commits' is for programs on files/u,
  "prove memory.mjs --sector 512": /'--sector' and '--torn-sector' are for programs on files/u,
  "prove file.mjs --model ext5": /'--model' is one of ext4-dax, .*did you mean 'ext2'/u,
  "prove file.mjs --commits never": /'--commits' is one of any, asked, not 'never'/u,
  "prove file.mjs --torn never": /'--torn' is one of prefix, atoms, line/u,
  "prove file.mjs --domain nvdimm": /'--domain' is one of adr, eadr, volatile/u,
  "prove file.mjs --sector 1024": /'--sector' is one of 512, 4096/u,
  "prove file.mjs --sector 512": /with 'files', machine: there are no sectors under ext4-dax/u,
  "prove file.mjs --sector 512 --model ext2": /'--sector' is of disks, and under ext2 is memory/u,
  "prove disk.mjs --torn-sector 0": /'--torn-sector' is '0'; it takes a multiple of 8 below 4096/u,
  "prove disk.mjs --torn-sector 12": /'--torn-sector' is '12'/u,
  "prove disk.mjs --torn-sector 4K": /'--torn-sector' is '4096'/u,
  "prove disk.mjs --torn-sector 1K --sector 512": /'--torn-sector' is '1024'; .* below 512/u,
  "prove disk.mjs --torn-sector x": /'--torn-sector'/u,
  "prove disk.mjs --domain eadr": /with 'disk', '--domain' is of memory, and under ext4-ordered/u,
  "prove file.mjs --domain adr --model mixed": /'--domain adr' and '--model mixed' contradict/u,
  "prove file.mjs --only nobody": /'--only' is 'nobody'; .*file\.mjs has 'files'/u,
  "prove file.mjs memory.mjs --state 1": /'--state' is of one proof: give one FILE/u,
  "prove file.mjs memory.mjs --save-image i": /'--save-image' is of one proof/u,
  "prove file.mjs --save-image mount": /is a directory; name a file/u,
  "prove file.mjs --junit mount": /is a directory; name a file/u,
  "prove file.mjs --state=": /'--state' has an empty value/u,
  "prove file.mjs --size 10M": /'--size' is for '--mount-fuse' and '--mount'/u,
  "prove file.mjs --check true": /'--check' is for '--mount-fuse' and '--mount'/u,
  "prove file.mjs --fresh": /'--fresh' is for '--mount'/u,
  "prove file.mjs --budgets 3": /unknown option '--budgets'; did you mean '--budget'/u,
  prove: /FILE is missing/u,
  "prove --mount /d --check check.mjs --budget 0 program.mjs": /'--budget' is '0'/u,
  "prove --mount /d --check check.mjs --depth 5 program.mjs": /'--depth' is '5'; it takes 1 to 4/u,
  "prove --mount /d --check check.mjs --faults typo program.mjs": /'--faults' is 'typo'/u,
  "prove --mount /d --check check.mjs --size 0 program.mjs": /'--size' is '0'; .*of 8192/u,
  "prove --mount /d --check check.mjs --size 5000 program.mjs": /'--size' is '5000'/u,
  "prove --mount /d --check check.mjs --size 10000000 program.mjs": /'--size' is '10000000'/u,
  "prove --mount /d --check check.mjs --size 8M program.mjs": /multiples of 8192 from 9M to 1G/u,
  "prove --mount /d --check check.mjs --model ext2 --size 4M program.mjs": /from 5M to 1G/u,
  "prove --mount /d --check check.mjs --size 100G program.mjs": /'--size' is '107374182400'/u,
  "prove --mount /d --check check.mjs --torn-sector 7 program.mjs": /'--torn-sector' is '7'/u,
  "prove --mount /d --check check.mjs --domain adr program.mjs": /'--domain' is of memory/u,
  "prove --mount /d --check check.mjs --only a program.mjs": /'--only' is for files of proofs/u,
  "prove --mount /d --check check.mjs --jobs 2 program.mjs": /'--jobs' is not for '--mount'/u,
  "prove --mount /d --mount-fuse mount --check true true": /'--mount-fuse' is not for '--mount'/u,
  "prove --mount-fuse mount -- true": /'--mount-fuse' wants a '--check COMMAND'/u,
  "prove --mount-fuse mount --check ./none -- true": /'--check' .* there is no '\.\/none'/u,
  "prove --mount-fuse mount --setup ./none --check true -- true": /'--setup' .* there is no/u,
  "prove --mount-fuse mount --recover ./none --check true -- true": /'--recover' .* there is no/u,
  "prove --mount-fuse mount --check true -- ./none": /there is no '\.\/none'/u,
  "prove --mount-fuse mount --check true -- sh ./none": /there is no '\.\/none'/u,
  "prove --mount-fuse mount --check true --budget 0 -- true": /'--budget' is '0'/u,
  "prove --mount-fuse mount --check true --faults poison -- true":
    /it takes all, or of write, flush/u,
  "prove --mount-fuse mount --check true --jobs 0 -- true": /'--jobs' takes 1 to 256/u,
  "prove --mount-fuse mount --check true --size 4M -- true": /'--size' is '4194304'/u,
  "prove --mount-fuse mount --check true --domain adr -- true": /'--domain' is not for/u,
  "prove --mount-fuse mount --check true --fresh -- true": /'--fresh' is for '--mount'/u,
  "prove --mount-fuse mount --check true --ack-file mount/ack -- true": /lies below the mount/u,
  "replay log --check ext --runs 0": /'--runs' is '0'; that would look at nothing/u,
  "replay log --check ext --runs -1": /'--runs' is '-1'/u,
  "replay log --check ext --jobs 0": /'--jobs' is '0'; it takes 1 to 256/u,
  "replay log --check ext --jobs 257": /'--jobs' is '257'/u,
  "replay log --check ext --within 0": /'--within' is '0'; it takes 1 to 86400/u,
  "replay log --check ext --within NaN": /'--within' is 'NaN'/u,
  "replay log --check ext --timeout 3": /'--timeout' is for a COMMAND/u,
  "replay log --check true --timeout 0": /'--timeout' takes 1 to 86400 seconds/u,
  "replay log --check true --depth 2": /'--depth' is for '--check ext'/u,
  "replay log --check ext --depth 3": /'--depth' is one of 1, 2/u,
  "replay log --check ext --torn 0": /'--torn' is '0'; it takes a multiple of 8 below 4096/u,
  "replay log --check ext --torn 512 --sector 512": /'--torn' is '512'; .* below 512/u,
  "replay log --check ext --sector 520": /'--sector' is one of 512, 4096/u,
  "replay log --check ext --size 0": /'--size' is '0'; it takes a multiple of 4096/u,
  "replay log --check ext --size 5000": /'--size' is '5000'/u,
  "replay log --check ext --at never": /'--at' is one of flush, fua, entry, mark/u,
  "replay log --check ext --limit -3": /'--limit' is '-3'/u,
  "replay log --check ext --start-entry x": /'--start-entry' is 'x'/u,
  "replay log --check ext --start-entry 1 --start-mark m": /exclude each other/u,
  "replay log --check ext --find": /exclude each other/u,
  "replay log --check ext --to x": /exclude each other/u,
  "replay log --check ext --junit mount": /is a directory; name a file/u,
  "replay log --check=": /'--check' has an empty value/u,
  "replay log --reorder": /'--reorder' is for '--check'/u,
  "replay log --torn 8": /'--torn' is for '--check'/u,
  "replay log --resume notes": /'--resume' is for '--check'/u,
  "replay log --all": /'--all' is for '--check'/u,
  "replay log --at fua": /'--at' is for '--check' and '--find'/u,
  "replay log --size 4096": /'--size' is for '--check' and '--to'/u,
  "replay log --end-mark m": /'--end-mark' is for '--check', '--find' and '--to'/u,
  "replay log --state 1f": /'--state' needs '--check' or '--to'/u,
  "replay log --find": /'--find' needs '--at' or '--end-mark'/u,
  "replay log --find --at fua --end-mark m": /'--at' or '--end-mark', and not both/u,
  "replay log log": /is one operand too many/u,
};

test.for(Object.entries(CASES))("%s", async ([line, message]) => {
  const [command = "", ...words] = line.split(" ");
  const { status, said } = await run([command, ...words.flatMap((word) => wordsOf(word))]);
  expect(said).toMatch(new RegExp(`^daxkit ${command}: usage: [^\n]*\n$`, "u"));
  expect(said).toMatch(message);
  expect([status, existsSync(join(folder, "ran"))]).toEqual([2, false]);
});

test.for([
  ["prove none.mjs", /ENOENT.*'none\.mjs'/u],
  ["prove file.mjs none.mjs", /ENOENT.*'none\.mjs'/u],
  ["prove file.mjs --junit none/there", /ENOENT.*none/u],
  ["prove file.mjs --save-image none/there", /ENOENT.*none/u],
  ["replay none --check ext", /ENOENT.*'none'/u],
  ["replay log --check ext --junit none/there", /ENOENT.*none/u],
] as const)("%s: no such file, and nothing runs", async ([line, message]) => {
  const { status, said } = await run(wordsOf(line));
  expect(said).toMatch(message);
  expect([status, existsSync(join(folder, "ran"))]).toEqual([2, false]);
});
