/**
 * Files that are made, written, closed and removed, one after the other.
 */
import type * as fs from "node:fs";

/** The calls that are measured, as all of the subjects offer them. */
export type Calls = Pick<
  typeof fs,
  "openSync" | "writeSync" | "closeSync" | "unlinkSync" | "mkdirSync" | "statSync" | "readdirSync"
>;

const KIB = new Uint8Array(1024).fill(7);

export function makeAndRemove(calls: Calls, folder: string): (times: number) => void {
  calls.mkdirSync(folder, { recursive: true });
  let next = 0;
  return (times) => {
    for (let i = 0; i < times; i++) {
      const path = `${folder}/file-${next++ % 10_000}`;
      const fd = calls.openSync(path, "w");
      calls.writeSync(fd, KIB);
      calls.closeSync(fd);
      calls.unlinkSync(path);
    }
  };
}
