/**
 * The client of `fuse.bench.ts` for small files: one process that makes, looks at, reads or removes
 * files of 1 KiB, a hundred to a directory. Arguments: the directory, what to do, how many files,
 * and `flat` for all of them in the directory itself. It prints seconds and its own processor time.
 */
import { closeSync, mkdirSync, openSync, readSync, rmdirSync, statSync } from "node:fs";
import { unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";

const [root = "", what = "", count = "0", flat = ""] = process.argv.slice(2);
const PER_DIRECTORY = 100;
const bytes = new Uint8Array(1024).fill(7);
const names: string[] = [];
const directories: string[] = [];
for (let i = 0; i < Number(count); i++) {
  const directory = flat === "" ? join(root, `d${Math.floor(i / PER_DIRECTORY)}`) : root;
  if (flat === "" && i % PER_DIRECTORY === 0) directories.push(directory);
  names.push(join(directory, `f${i}`));
}

function create(): void {
  for (const directory of directories) mkdirSync(directory);
  for (const name of names) {
    const fd = openSync(name, "wx");
    writeSync(fd, bytes);
    closeSync(fd);
  }
}

function stat(): void {
  for (const name of names) statSync(name);
}

function read(): void {
  for (const name of names) {
    const fd = openSync(name, "r");
    readSync(fd, bytes);
    closeSync(fd);
  }
}

function unlink(): void {
  for (const name of names) unlinkSync(name);
  for (const directory of directories) rmdirSync(directory);
}

const work = { create, stat, read, unlink }[what];
if (work === undefined) throw new Error(`no such work: ${what}`);
const cpuBefore = process.cpuUsage();
const began = process.hrtime.bigint();
work();
const seconds = Number(process.hrtime.bigint() - began) / 1e9;
const { user, system } = process.cpuUsage(cpuBefore);
process.stdout.write(JSON.stringify({ seconds, cpu: (user + system) / 1e6 }));
