/** A mapper of a test's own, with its disks, and the built command in front of it. */
import assert from "node:assert/strict";
import {
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type Ended, daxkit } from "./daxkit.ts";

/** Of each disk. */
export const DISK_BYTES = 16 << 20;

/** A folder with disks A to D and a mapper of its own. */
export class MapperPlace {
  readonly folder = mkdtempSync(join(tmpdir(), "daxkit-dm-"));
  readonly mapper = join(this.folder, "mapper");

  constructor() {
    for (const name of ["A", "B", "C", "D"]) {
      writeFileSync(join(this.folder, name), "");
      truncateSync(join(this.folder, name), DISK_BYTES);
    }
    onTestFinished(() => {
      this.run("remove_all");
      rmSync(this.folder, { recursive: true });
    });
  }

  run(...words: readonly string[]): Ended {
    const env = { DAXKIT_MAPPER: this.mapper };
    return daxkit(["dmsetup", ...words], { cwd: this.folder, env });
  }

  /** Runs what has to succeed. */
  ok(...words: readonly string[]): string {
    const { status, stdout, stderr } = this.run(...words);
    assert.deepEqual([words, status, stderr], [words, 0, ""]);
    return stdout;
  }

  /** What a command says that has to fail. */
  refused(...words: readonly string[]): string {
    const { status, stdout, stderr } = this.run(...words);
    assert.deepEqual([words, status, stdout], [words, 1, ""]);
    return stderr;
  }

  get pid(): number {
    return (JSON.parse(readFileSync(`${this.mapper}.json`, "utf8")) as { pid: number }).pid;
  }

  /** Files that are no disks: none after the last device. */
  left(): string[] {
    return readdirSync(this.folder).filter((name) => name.length > 1);
  }
}
