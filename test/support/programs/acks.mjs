/* oxlint-disable */
import fs from "node:fs";
const D = process.argv[2];
fs.writeFileSync(D + "/1", "");
process.stdout.write("ac");
process.stdout.write("k one\nnoise\n");
const late = fs.promises.writeFile(D + "/2", "");
globalThis.daxkit?.ack({ two: 2 });
await late;
fs.writeSync(1, "ack three\n");
console.log("ack");
