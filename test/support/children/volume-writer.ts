/** Writes to an image, syncs a part of it, and ends without closing. */
import { openVolume } from "../../../src/node/volume.ts";

const [image, how] = process.argv.slice(2) as [string, "exit" | "hold" | "idle"];
const { fs } = openVolume(image, { write: true });
fs.writeFileSync("/synced", "by a child", { flush: true });
fs.writeFileSync("/unsynced", "by a child");
if (how === "exit") process.exit(0);
if (how === "hold") {
  setInterval(() => undefined, 1000);
  process.stdout.write("ready\n");
}
