/* oxlint-disable */
const [graceful, extra, atomic] = ["graceful-fs", "fs-extra", "write-file-atomic"].map((p) =>
  require(p),
);
const { failed, show } = require("./show.cjs");

const fs = require("fs");
graceful.gracefulify(fs);
const D = process.argv[2];
(async () => {
  await extra.outputJson(D + "/deep/er/x.json", { a: 1 });
  show(await extra.readJson(D + "/deep/er/x.json"));
  await extra.move(D + "/deep/er", D + "/moved");
  show(await extra.pathExists(D + "/deep/er"));
  await atomic(D + "/atomic", "whole");
  atomic.sync(D + "/atomic", "again");
  show(fs.readFileSync(D + "/atomic", "utf8"));
  await new Promise((r, f) => graceful.writeFile(D + "/g", "graceful", (e) => (e ? f(e) : r())));
  await extra.remove(D + "/moved");
  show(fs.readdirSync(D).sort());
})();
