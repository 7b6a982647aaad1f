/**
 * Damages images field by field, with and without making the checksums right, and asks e2fsck and
 * our check about each.
 */
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import type { Prng } from "../../src/lib/prng.ts";
import type { Finding } from "../../src/vfs/filesystem.ts";
import { ExtEditor } from "./ext-field-editor.ts";
import { type Site, sitesOf } from "./check-sites.ts";
import { still } from "./ext-images.ts";

/** The time of day counts: e2fsck knows it too. */
const now = { ...still, clock: { now: () => ({ sec: Math.floor(Date.now() / 1000), nsec: 0 }) } };

/** Lines of e2fsck that are no complaint. */
const HARMLESS = [
  /^\s*$/u,
  /^e2fsck \d/u,
  /^Pass \d/u,
  / files \([\d.]+% non-contiguous\), /u,
  // An offer to optimise what Linux itself writes.
  /extent tree \(at level \d+\) could be (shorter|narrower)/u,
];

/** What one damage came to. */
export interface Verdict {
  readonly image: string;
  readonly site: string;
  /** Value before and after. */
  readonly before: number;
  readonly after: number;
  readonly sealed: boolean;
  /** Complaints of e2fsck. */
  readonly theirs: readonly string[];
  readonly ours: readonly Finding[];
  readonly agree: boolean;
}

interface Said {
  readonly complains: boolean;
  readonly lines: readonly string[];
}

function isComplaint(line: string): boolean {
  return !HARMLESS.some((rule) => rule.test(line));
}

function e2fsckOf(path: string): Said {
  const { status, stdout, stderr } = spawnSync("e2fsck", ["-fn", path], {
    encoding: "utf8",
    timeout: 120_000,
  });
  const lines = stdout.split("\n").filter(isComplaint);
  const complains = (status ?? 16) >= 4 || lines.length > 0;
  return { complains, lines: [...lines, ...stderr.split("\n").filter(isComplaint)] };
}

/** Something that is no field: many bytes at once. */
export type Edit = (editor: ExtEditor) => void;

/** One image under damage. */
export class Sweep {
  readonly #name: string;
  readonly #sound: Uint8Array<ArrayBuffer>;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #editor: ExtEditor;
  readonly #path: string;
  readonly sites: readonly Site[];

  constructor(name: string, image: Uint8Array<ArrayBuffer>, folder: string) {
    this.#name = name;
    this.#sound = image;
    this.#bytes = Uint8Array.from(image);
    this.#editor = new ExtEditor(this.#bytes);
    this.#path = join(folder, `${name}.sweep.img`);
    writeFileSync(this.#path, image);
    this.sites = sitesOf(image);
  }

  /** Puts a value into a field and asks both. */
  field(site: Site, after: number, sealed: boolean): Verdict {
    const before = this.#read(site);
    return this.#judge({ site: site.name, before, after, sealed }, (editor) => {
      this.#store(site, after);
      if (sealed) site.seal?.(editor);
    });
  }

  /** Some other damage. */
  edit(name: string, edit: Edit): Verdict {
    return this.#judge({ site: name, before: 0, after: 0, sealed: true }, edit);
  }

  /** `count` fields, as many of each kind of structure, one after the other. */
  someFields(prng: Prng, count: number): Verdict[] {
    const kinds = [...this.#kinds().values()];
    const verdicts: Verdict[] = [];
    while (verdicts.length < count) {
      const site = oneOf(oneOf(kinds, prng), prng);
      for (const value of this.values(site, prng, 1)) {
        verdicts.push(this.field(site, value, prng.below(5) !== 0));
      }
    }
    return verdicts;
  }

  /** `count` blocks that hold zeros, ones, noise, or another block. */
  someBlocks(prng: Prng, count: number): Verdict[] {
    const kinds = [...this.#kinds().values()];
    const verdicts: Verdict[] = [];
    while (verdicts.length < count) {
      const [site, other] = [oneOf(oneOf(kinds, prng), prng), oneOf(oneOf(kinds, prng), prng)];
      const kind = prng.below(4);
      const name = `${site.name}: block filled (${kind}, ${other.name})`;
      verdicts.push(this.edit(name, (editor) => fillBlock(editor, site, other, kind, prng)));
    }
    return verdicts;
  }

  /** `count` commands of those given. */
  someCommands(prng: Prng, count: number, lines: readonly string[]): Verdict[] {
    const verdicts: Verdict[] = [];
    for (let i = 0; i < count; i++) {
      const verdict = this.command(oneOf(lines, prng));
      if (verdict !== undefined) verdicts.push(verdict);
    }
    return verdicts;
  }

  /** Sites by what kind of structure they are in: there are many more inodes than superblocks. */
  #kinds(): Map<string, Site[]> {
    const kinds = new Map<string, Site[]>();
    for (const site of this.sites) {
      const part = /i_block|bitmap|extra|index|tail/u.exec(site.name)?.[0] ?? "";
      const kind = `${site.name.split(" ")[0]} ${part}`;
      const known = kinds.get(kind);
      if (known === undefined) kinds.set(kind, [site]);
      else known.push(site);
    }
    return kinds;
  }

  /** What a command of debugfs does; undefined when it changes nothing. */
  command(line: string): Verdict | undefined {
    spawnSync("debugfs", ["-w", "-R", line, this.#path]);
    const bytes = Uint8Array.from(readFileSync(this.#path));
    if (bytes.length !== this.#sound.length) {
      writeFileSync(this.#path, this.#sound);
      return undefined;
    }
    this.#bytes.set(bytes);
    if (this.#touched().length === 0) return undefined;
    return this.#judge({ site: line, before: 0, after: 0, sealed: true }, () => {});
  }

  #read({ at, size, big = false }: Site): number {
    const { view } = this.#editor;
    if (size === 1) return view.getUint8(at);
    return size === 2 ? view.getUint16(at, !big) : view.getUint32(at, !big);
  }

  #store({ at, size, big = false }: Site, value: number): void {
    const { view } = this.#editor;
    if (size === 1) view.setUint8(at, value);
    else if (size === 2) view.setUint16(at, value, !big);
    else view.setUint32(at, value, !big);
  }

  #judge(what: Pick<Verdict, "site" | "before" | "after" | "sealed">, edit: Edit): Verdict {
    edit(this.#editor);
    const touched = this.#touched();
    this.#put(touched, this.#bytes);
    const { complains, lines } = e2fsckOf(this.#path);
    const ours = [...ext.check(new RamDisk({ name: "ram0", bytes: this.#bytes }), now)];
    for (const at of touched) {
      this.#bytes.set(this.#sound.subarray(at, at + CHUNK), at);
    }
    this.#put(touched, this.#sound);
    // What is odd, but no damage, may be a warning.
    const found = ours.some(({ severity }) => severity === "error");
    const agree = complains ? found || ours.some((one) => one.severity === "warning") : !found;
    return { image: this.#name, ...what, theirs: lines, ours, agree };
  }

  #touched(): number[] {
    const chunks: number[] = [];
    for (let at = 0; at < this.#bytes.length; at += CHUNK) {
      const [a, b] = [this.#bytes, this.#sound].map((x) => Buffer.from(x.buffer, at, CHUNK));
      if (!(a as Buffer).equals(b as Buffer)) chunks.push(at);
    }
    return chunks;
  }

  #put(chunks: readonly number[], from: Uint8Array): void {
    const fd = openSync(this.#path, "r+");
    for (const at of chunks) writeSync(fd, from, at, CHUNK, at);
    closeSync(fd);
  }

  /** Values for a field that differ from what it holds. */
  *values(site: Site, prng: Prng, some: number): Generator<number> {
    const before = this.#read(site);
    const most = 2 ** (site.size * 8) - 1;
    const given = new Set([before]);
    const all = [0, 1, most, before + 1, before - 1, before ^ (1 << prng.below(site.size * 8))];
    all.push(prng.below(most), prng.below(1000), most - prng.below(256), before * 2);
    for (let i = 0; i < some; i++) {
      const value = ((all[prng.below(all.length)] as number) >>> 0) % (most + 1);
      if (given.has(value)) continue;
      given.add(value);
      yield value;
    }
  }
}

const CHUNK = 4096;

function oneOf<T>(all: readonly T[], prng: Prng): T {
  return all[prng.below(all.length)] as T;
}

function fillBlock(editor: ExtEditor, site: Site, other: Site, kind: number, prng: Prng): void {
  const { blockSize } = editor.superblock;
  const block = editor.block(Math.floor(site.at / blockSize));
  if (kind === 0) block.fill(0);
  else if (kind === 1) block.fill(0xff);
  else if (kind === 2) block.set(editor.block(Math.floor(other.at / blockSize)).slice());
  else for (let i = 0; i < block.length; i++) block[i] = prng.below(256);
}
