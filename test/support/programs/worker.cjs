/* oxlint-disable */
const fs = require("fs");
const { parentPort } = require("worker_threads");
let code;
try {
  fs.writeFileSync(process.argv[2] + "/w", "");
} catch (error) {
  code = error.code;
}
parentPort.postMessage(code);
