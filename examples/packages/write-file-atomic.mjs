// A file is replaced; "nofsync" asks the package not to wait for the disk, "directory" adds an
// fsync of the directory behind it.
import { closeSync, fsyncSync, openSync } from "node:fs";
import writeFileAtomic from "write-file-atomic";

const how = process.argv[2];
await writeFileAtomic("/data/settings.json", JSON.stringify({ version: 2 }), {
  fsync: how !== "nofsync",
});
if (how === "directory") {
  const directory = openSync("/data");
  fsyncSync(directory);
  closeSync(directory);
}
console.log("ack version 2");
