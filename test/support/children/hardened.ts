/**
 * A process that may not make memory executable any more, as hardened hosts have it (PR_SET_MDWE).
 * Run with `--jitless`. Arguments: the path of a file to make.
 */
import { functionIn } from "../../../src/node/libc.unsafe.ts";
import { openFileMedia } from "../../../src/node/file-media.ts";
import { answer, outcome } from "./answer.ts";

const PR_SET_MDWE = 65;
const PR_MDWE_REFUSE_EXEC_GAIN = 1;
const prctl = functionIn("libc.so.6", "prctl", "int", ["int", "ulong", "ulong", "ulong", "ulong"]);
const hardened = prctl?.(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) === 0;
const path = process.argv[2] ?? "";
const plain = outcome(() => openFileMedia(path, { create: 65536 }).close());
let control: string | undefined;
const forced = outcome(() => {
  const media = openFileMedia(path, { flush: "cache-line" });
  control = media.cacheControl;
  media.copyNonTemporal?.(77, new Uint8Array(500).fill(3));
  media.flush(4096, 64);
  media.fence();
  if (media.window(0).memory.getUint8(576) !== 3) throw new Error("the copy is not there");
  media.close();
});
answer({ hardened, plain, control, forced });
