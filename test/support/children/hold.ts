/**
 * Holds a file for writing until its standard input ends. Arguments: the path.
 */
import { openFileMedia } from "../../../src/node/file-media.ts";

const media = openFileMedia(process.argv[2] ?? "");
media.window(0);
process.stdout.write("held\n");
process.stdin.resume();
process.stdin.on("end", () => media.close());
