/**
 * Writes files into a folder, one after the other, and says the number of each on standard output
 * when it is durable: the file by fsync, its name by fsync of the folder. Ends with an error.
 *
 * It works inside: by a path it would go on in the directory below when the mount is gone, and say
 * of files there that they are durable.
 */
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";

process.chdir(process.argv[2] ?? ".");

for (let i = 0; ; i++) {
  const fd = openSync(`file${i}`, "w");
  writeSync(fd, `${i}:`.repeat(1 + ((i * 37) % 3000)));
  fsyncSync(fd);
  closeSync(fd);
  const directory = openSync(".", "r");
  fsyncSync(directory);
  closeSync(directory);
  writeSync(1, `${i}\n`);
}
