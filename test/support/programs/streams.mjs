/* oxlint-disable */
import fs from "node:fs";
import { pipeline } from "node:stream/promises";
import os from "node:os";
import path from "node:path";
import { failed, show } from "./show.cjs";

const D = process.argv[2];
const T = fs.mkdtempSync(path.join(os.tmpdir(), "daxkit-across-"));
await pipeline(["one ", "two"], fs.createWriteStream(D + "/s", { flush: true }));
await new Promise((r) => new fs.WriteStream(D + "/t").end("class", r));
let all = "";
for await (const piece of fs.createReadStream(D + "/s", "utf8")) all += piece;
show(all);
fs.copyFileSync(D + "/s", T + "/out");
fs.copyFileSync(T + "/out", D + "/back");
show(fs.readFileSync(D + "/back", "utf8"));
fs.mkdirSync(T + "/tree/in", { recursive: true });
fs.writeFileSync(T + "/tree/in/x", "deep");
fs.cpSync(T + "/tree", D + "/tree", { recursive: true });
show(fs.readFileSync(D + "/tree/in/x", "utf8"));
await fs.promises.cp(D + "/tree", T + "/again", { recursive: true });
show(fs.readdirSync(T + "/again"));
fs.createReadStream(D + "/none").on("error", (e) => show(e.code));
fs.rmSync(T, { recursive: true });
