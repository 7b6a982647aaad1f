/**
 * Random lines of the commands that change images, before coreutils on a kernel's mount.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Prng } from "../../src/lib/prng.ts";
import { makeFolder } from "../support/host-tree.ts";
import { EVERYTHING, WHOLE } from "../support/slices.ts";
import { type Ended, makeHost, ours, shownTree, theirs } from "./change-pair.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const tools = programs(
  ["mke2fs", "e2fsck", "getfattr", "setfattr", "fallocate"],
  "apt-get install e2fsprogs attr util-linux",
);
const kernel = loopMounts();
const SEEDS = Number(process.env["DAXKIT_CHANGE_SEEDS"] ?? (EVERYTHING ? 4 : WHOLE ? 2 : 1));
const FIRST = Number(process.env["DAXKIT_CHANGE_SEED"] ?? 1);
const LINES = Number(process.env["DAXKIT_CHANGE_LINES"] ?? (WHOLE ? 120 : 60));

let cwd = "";
beforeAll(() => {
  cwd = makeFolder();
  for (const name of ["mount", "read", "host"]) fs.mkdirSync(join(cwd, name));
  makeHost(join(cwd, "host"));
});
afterAll(() => fs.rmSync(cwd, { recursive: true }));

/** Lines, from a seed. */
class Stream {
  readonly #prng: Prng;

  constructor(seed: number) {
    this.#prng = new Prng(seed);
  }

  #one(words: readonly string[]): string {
    return words[this.#prng.below(words.length)] as string;
  }

  /** Some of these, each as likely as not at all. */
  #some(words: readonly string[], chance = 4): string {
    return words.map((word) => (this.#prng.below(chance) === 0 ? ` ${word}` : "")).join("");
  }

  #path(): string {
    const depth = 1 + this.#prng.below(3);
    const names = Array.from({ length: depth }, () =>
      this.#one(["a", "b", "c", "d", "e", "l", "m"]),
    );
    const end = this.#prng.below(12) === 0 ? this.#one(["/", "/.", "/.."]) : "";
    return `@/${names.join("/")}${end}`;
  }

  #plain(): string {
    return this.#path().replace(/\/\.*$/u, "");
  }

  #host(): string {
    return this.#one(["%/small", "%/empty", "%/big", "%/sparse", "%/dir", "%/tree/link"]);
  }

  #paths(): string {
    return this.#prng.below(4) === 0 ? `${this.#path()} ${this.#path()}` : this.#path();
  }

  /** Not into itself: cp has copied a part of it when it notices. */
  #copyWithin(): string {
    const [from, to] = [this.#plain(), this.#path()];
    if (`${to}/`.startsWith(`${from}/`) || /\/\.*$/u.test(to)) return `mkdir ${from}`;
    return `cp -a${this.#some(["-n", "-T", "-v"])} ${from} ${to}`;
  }

  #making(): (() => string)[] {
    const modes = ["0", "5000", "+100", "-70", "%512"];
    const ranges = ["-l 9000", "-p -o 1024 -l 2048", "-n -l 20000", "-z -o 10 -l 3000"];
    return [
      () => `mkdir${this.#some(["-p", "-v", "-m 750"])} ${this.#paths()}`,
      () => `mkdir -p ${this.#path()}`,
      () => `put${this.#some(["-n", "-T"])} ${this.#host()} ${this.#path()}`,
      () => this.#copyIn("-r", ["%/tree/sub/deeper", "%/dir", "%/small"]),
      () => this.#copyIn("-a", ["%/tree", "%/tree/sub"]),
      () => this.#copyWithin(),
      () => `truncate${this.#some(["-c"])} -s ${this.#one(modes)} ${this.#path()}`,
      () => `fallocate ${this.#one(ranges)} ${this.#plain()}`,
    ];
  }

  #copyIn(how: string, sources: readonly string[]): string {
    return `cp ${how}${this.#some(["-n", "-T"])} ${this.#one(sources)} ${this.#path()}`;
  }

  #moving(): (() => string)[] {
    const targets = ["a", "b", "nowhere", "l", "e/x"];
    const symlink = () => this.#some(["-f", "-n", "-T"]);
    return [
      () => `rm${this.#some(["-r", "-f", "-d", "-v"], 3)} ${this.#paths()}`,
      () => `mv${this.#some(["-n", "-f", "-T", "-v"])} ${this.#paths()} ${this.#path()}`,
      () => `ln${this.#some(["-f", "-T", "-v", "-L"])} ${this.#path()} ${this.#path()}`,
      () => `ln -s${symlink()} ${this.#one(targets)} ${this.#path()}`,
    ];
  }

  #marking(): (() => string)[] {
    const modes = ["644", "755", "u=rwX", "g+w", "o-r", "a=r,u+w", "700", "+x"];
    const owners = ["1:2", "3", ":4", "0:0"];
    const name = () => `user.${this.#one(["p", "q"])}`;
    // Under which of its names a file is met first, and told of, is the order of the walk alone.
    const walk = () => this.#one(["", "", " -R", " -c"]);
    return [
      () => `chmod${walk()} ${this.#one(modes)} ${this.#path()}`,
      () => `chown${walk()}${this.#some(["-h"])} ${this.#one(owners)} ${this.#path()}`,
      () => `touch${this.#some(["-c", "-h"])} ${this.#path()}`,
      () =>
        `setfattr${this.#some(["-h"])} -n ${name()} -v ${this.#one(["x", "yy"])} ${this.#path()}`,
      () => `setfattr -x ${name()} ${this.#path()}`,
      () => `getfattr -d ${this.#plain()}`,
    ];
  }

  next(): string {
    const kinds = [...this.#making(), ...this.#moving(), ...this.#marking()];
    return (kinds[this.#prng.below(kinds.length)] as () => string)();
  }
}

describe.skipIf(tools.missing || kernel.missing)(
  `random lines, ours and theirs${tools.hint}${kernel.hint}`,
  () => {
    const seeds = Array.from({ length: SEEDS }, (_, i) => FIRST + i);
    test.each(seeds)("seed %d", { timeout: 600_000 }, async (seed) => {
      const [mine, image] = ["ours", "theirs"].map((who) => join(cwd, `${who}-${seed}.img`)) as [
        string,
        string,
      ];
      execFileSync("mke2fs", ["-q", "-F", "-t", "ext4", "-b", "1024", image, "24M"]);
      fs.copyFileSync(image, mine);
      const stream = new Stream(seed);
      const lines = Array.from({ length: LINES }, () => stream.next());
      const expected: Ended[] = [];
      let tree = "";
      withLoopMount(image, join(cwd, "mount"), "rw", (mount) => {
        for (const line of lines) expected.push(theirs(line, mount, join(cwd, "host")));
        tree = shownTree(mount);
      });
      for (const [i, line] of lines.entries()) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other, as they stand
        const found = await ours(line, mine, join(cwd, "host"));
        expect({ i, ...found }).toEqual({ i, ...expected[i] });
      }
      withLoopMount(mine, join(cwd, "read"), "ro", (mount) => {
        expect(shownTree(mount)).toBe(tree);
      });
      expect(e2fsckSays(fs.readFileSync(mine))).toEqual([]);
    });
  },
);
