// A minimal write-ahead log: length, checksum and text of each record, in a file of its own. "late"
// promises before the fsync, "nameless" forgets that a new file has a name as well.
import { closeSync, fdatasyncSync, fsyncSync, openSync, writeSync } from "node:fs";
import { recordOf } from "./wal-format.mjs";

const how = process.argv[2];
const log = openSync("/data/wal", "a");
if (how !== "nameless") {
  const directory = openSync("/data");
  fsyncSync(directory);
  closeSync(directory);
}
for (const text of ["first", "second"]) {
  writeSync(log, recordOf(text));
  if (how === "late") console.log(`ack ${text}`);
  fdatasyncSync(log);
  if (how !== "late") console.log(`ack ${text}`);
}
closeSync(log);
