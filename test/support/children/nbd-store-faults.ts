/**
 * Serves a file (argument 1) that is cut, or a sparse one on a full file system (argument 2 says
 * `full`), and prints what each call of the store says.
 */
import { truncateSync } from "node:fs";
import { isDaxError } from "../../../src/lib/errno.ts";
import { openFileMedia } from "../../../src/node/file-media.ts";
import { shareStore } from "../../../src/node/nbd/mapped-store.ts";

const SIZE = 4 << 20;
const [path = "", how] = process.argv.slice(2);
const media = openFileMedia(path, { create: SIZE });
const shared = shareStore(media)!;
const { store } = shared;
const bytes = new Uint8Array(8192).fill(9);
const target = new Uint8Array(8192);

function outcome(call: () => unknown): string {
  try {
    call();
    return "ok";
  } catch (error) {
    return isDaxError(error) ? error.code : String(error);
  }
}

store.write(0, bytes);
if (how !== "full") truncateSync(path, 8192);
const answers = {
  readBefore: outcome(() => store.read(0, target)),
  read: outcome(() => store.read(SIZE - 8192, target)),
  readAcross: outcome(() => store.read(4096, target)),
  write: outcome(() => {
    for (let at = SIZE / 2; at < SIZE; at += 8192) store.write(at, bytes);
  }),
  zeroes: outcome(() => {
    store.writeZeroes(SIZE - 65536, 65536, { noHole: true, fast: false });
  }),
  trim: outcome(() => store.trim(SIZE - 8192, 4096)),
  persist: outcome(() => store.persist(SIZE - 8192, 8192)),
  flush: outcome(() => store.flush()),
  allocation: outcome(() => [...store.allocation(0, SIZE)]),
  writeBefore: outcome(() => store.write(0, bytes)),
  size: media.size,
};
shared.release();
media.close();
process.stdout.write(JSON.stringify(answers));
