/**
 * Damaged images as files of this machine: through the command's own front door, and copied out,
 * which must never leave the folder that it was told.
 */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { allCommands } from "../../src/cli/commands.ts";
import { BrokenPipeError, Output } from "../../src/cli/output.ts";
import { runCommandLine } from "../../src/cli/run.ts";
import { Terminal } from "../../src/cli/terminal.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { copyOut } from "../../src/node/image/copy-out.ts";
import { type Volume, openVolume } from "../../src/node/volume.ts";
import { extentsIn } from "../../src/vfs/extents.ts";
import { isRegular } from "../../src/vfs/modes.ts";
import { walkSubtree } from "../../src/vfs/subtree.ts";
import type { CaseNotes, FuzzSubject, FuzzTarget } from "./fuzz.ts";
import { DamagedImage } from "./fuzz-ext.ts";

const commands = await allCommands();

const IMAGES = ["ext2", "extents", "inline", "dax"].map((name) => `ext-tiny/${name}`);

/** Bytes that are written to this machine, and printed, for one case. */
const MAX_COPY = 16 << 20;
const MAX_PRINTED = 4 << 20;

/** Memory where there is a filesystem on it: thousands of images would wear a disk out. */
function parent(): string {
  const shm = "/dev/shm";
  return fs.existsSync(shm) ? shm : tmpdir();
}

/** A damaged image in a file of a folder of its own. */
abstract class HostSubject implements FuzzSubject {
  readonly folder = fs.realpathSync(fs.mkdtempSync(join(parent(), "daxkit-fuzz-")));
  readonly path = join(this.folder, "disk.img");
  readonly #images = IMAGES.map((name) => new DamagedImage(name));

  abstract use(prng: Prng, notes: CaseNotes): string | Promise<string>;

  async run(prng: Prng, notes: CaseNotes): Promise<string> {
    const image = prng.pick(this.#images);
    notes.say(image.name);
    try {
      image.damage(prng, notes);
      fs.writeFileSync(this.path, image.cut(prng, notes));
      return await this.use(prng, notes);
    } finally {
      image.editor.restore();
    }
  }

  audit(): void {
    for (const image of this.#images) image.editor.audit();
  }

  close(): void {
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

class CommandSubject extends HostSubject {
  line(prng: Prng): string[] {
    return commandLine(prng, this.path);
  }

  override async use(prng: Prng, notes: CaseNotes): Promise<string> {
    const line = this.line(prng);
    notes.say(`daxkit ${line.join(" ")}`);
    let printed = 0;
    const out = new Output(
      (bytes) => {
        printed += bytes.length;
        if (printed > MAX_PRINTED) throw new BrokenPipeError("enough");
      },
      prng.below(2) === 0,
    );
    let complaints = "";
    const err = new Output((bytes) => void (complaints += Buffer.from(bytes).toString()), false);
    const terminal = new Terminal(out, err, { environment: {} });
    const status = await runCommandLine(line, { out, terminal, commands });
    if (complaints.includes("this is a bug in daxkit")) throw new Error(complaints);
    return `status ${status}`;
  }
}

function isPlace(word: string): boolean {
  return word.startsWith(":") || /^[A-Z]{4,}$/u.test(word);
}

/** As CommandSubject, with commands that write. */
class ChangeSubject extends CommandSubject {
  readonly #file = join(this.folder, "file");

  constructor() {
    super();
    fs.writeFileSync(this.#file, "x".repeat(100_000));
  }

  override line(prng: Prng): string[] {
    const [name = "", ...words] = prng.pick(CHANGE_LINES);
    const place = (word: string) =>
      word === "FILE" ? this.#file : word === "IMAGE" ? this.path : `${this.path}${word}`;
    return [name, ...words.map((word) => (isPlace(word) ? place(word) : word))];
  }
}

const CHANGE_LINES: readonly (readonly string[])[] = [
  ["mkdir", "-p", ":/new/deep/er", ":/dir/slow/x"],
  ["put", "FILE", ":/put"],
  ["put", "FILE", ":/small"],
  ["put", "-D", "FILE", ":/block/of/it"],
  ["rm", "-rf", ":/dir", ":/small"],
  ["rm", "-r", ":/many", ":/fragments", ":/zz-far"],
  ["mv", ":/small", ":/dir"],
  ["mv", "--exchange", ":/small", ":/hole"],
  ["ln", ":/small", ":/hard"],
  ["ln", "-sf", "target", ":/dir/slow"],
  ["chmod", "-R", "u=rwX,g+s", ":/"],
  ["chown", "-R", "1000:1000", ":/"],
  ["truncate", "-s", "100000", ":/fragments", ":/inline"],
  ["truncate", "-s", "0", ":/fragments", ":/zz-far", ":/hole"],
  ["fallocate", "-l", "64K", ":/hole"],
  ["fallocate", "-d", ":/fragments"],
  ["fallocate", "-c", "-o", "0", "-l", "4096", ":/fragments"],
  ["fallocate", "-i", "-o", "4096", "-l", "8192", ":/fragments"],
  ["setfattr", "-n", "user.fuzz", "-v", "value", ":/small"],
  ["setfattr", "-x", "user.a", ":/small"],
  ["getfattr", "-dR", "-m", "-", ":/"],
  ["cp", "-a", ":/dir", ":/copy"],
  ["touch", ":/small", ":/new"],
  ["sync", "IMAGE"],
  ["tune", "-L", "fuzz", "IMAGE"],
  ["tune", "-O", "metadata_csum_seed", "-U", "random", "IMAGE"],
  ["tune", "-U", "clear", "IMAGE"],
  ["tune", "-l", "IMAGE"],
];

const LINES: readonly (readonly string[])[] = [
  ["ls", "-laR"],
  ["ls", "-R", "--json"],
  ["ls", "-S"],
  ["tree"],
  ["tree", "--json"],
  ["df"],
  ["df", "--json"],
  ["tar"],
];
const FILE_LINES: readonly (readonly string[])[] = [
  ["stat"],
  ["stat", "--json"],
  ["extents"],
  ["extents", "--json"],
  ["cat"],
];
const FILES = ["/small", "/fragments", "/hole", "/zz-far", "/dir/slow", "/block", "/many", "/"];

function commandLine(prng: Prng, path: string): string[] {
  if (prng.below(2) === 0) return [...prng.pick(LINES), path];
  return [...prng.pick(FILE_LINES), `${path}:${prng.pick(FILES)}`];
}

class CopySubject extends HostSubject {
  override use(_prng: Prng, notes: CaseNotes): string {
    const volume = openVolume(this.path);
    const outside = join(this.folder, "outside");
    const dest = join(outside, "dest");
    fs.mkdirSync(dest, { recursive: true });
    try {
      if (contentsOf(volume) > MAX_COPY) return "too much to copy";
      copyOut(volume, "/", dest, { onWarning: (text) => notes.say(text) });
      return "copied";
    } catch (error) {
      // What the host cannot hold, such as a name that is too long, it refuses by its own codes.
      const { code } = error as { code?: string };
      if (code === undefined || !/^E[A-Z0-9]+$/u.test(code)) throw error;
      notes.say(String(error));
      return "copied in part";
    } finally {
      volume.close();
      expectNothingElse(outside);
      fs.rmSync(outside, { recursive: true, force: true });
    }
  }

  override audit(): void {
    super.audit();
    const names = fs.readdirSync(this.folder);
    if (names.join(" ") !== "disk.img") throw new Error(`left in the folder: ${names.join(" ")}`);
  }
}

/** Bytes that a copy would write. */
function contentsOf(volume: Volume): number {
  let bytes = 0;
  for (const { inode, leaving } of walkSubtree(volume.filesystem.root)) {
    if (leaving || !isRegular(inode.mode)) continue;
    for (const { length } of extentsIn(inode, 0, inode.size)) {
      bytes += length;
      if (bytes > MAX_COPY) return bytes;
    }
  }
  return bytes;
}

function expectNothingElse(outside: string): void {
  const names = fs.readdirSync(outside);
  if (names.join(" ") !== "dest") throw new Error(`the copy left its folder: ${names.join(" ")}`);
}

/** The `daxkit` command on images. */
export const commandTarget: FuzzTarget = {
  name: "command",
  weight: 3,
  reaches: ["status 0", "status 2"],
  open: () => new CommandSubject(),
};

/** The commands that change images. */
export const changeTarget: FuzzTarget = {
  name: "change",
  weight: 3,
  reaches: ["status 0", "status 1"],
  open: () => new ChangeSubject(),
};

/** Copies to this machine. */
export const copyTarget: FuzzTarget = {
  name: "copy",
  weight: 1,
  reaches: ["copied"],
  open: () => new CopySubject(),
};
