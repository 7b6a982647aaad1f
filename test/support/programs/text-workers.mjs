/* oxlint-disable */
import { Worker } from "node:worker_threads";
const D = process.argv[2];
const write = `require("fs").writeFileSync(${JSON.stringify(D + "/w")}, "")`;
const strict = `"use strict";\nif ((function () { return this; })() !== undefined) throw 1;\n`;
const report = `try { ${write}; code = "wrote"; } catch (error) { code = error.code; }
require("worker_threads").parentPort.postMessage(code);`;
const text = `${strict}let code; ${report}`;
const module = `data:text/javascript,import fs from "node:fs"; import { parentPort } from "node:worker_threads";
let code = "wrote"; try { fs.writeFileSync(${JSON.stringify(D + "/w")}, ""); } catch (error) { code = error.code; }
parentPort.postMessage(code);`;
for (const [program, options] of [
  [text, { eval: true }],
  [text, { eval: true, execArgv: [], env: {} }],
  [new URL(module), { execArgv: [] }],
  [new URL(module), { env: { A: "b" } }],
]) {
  const worker = new Worker(program, options);
  console.log(await new Promise((told) => worker.on("message", told).on("error", told)));
}
