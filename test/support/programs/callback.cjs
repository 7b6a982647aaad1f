/* oxlint-disable */
const fs = require("fs");
const { promisify } = require("node:util");
const { failed, show } = require("./show.cjs");

const D = process.argv[2];
const order = [];
show(require.main === module, process.argv[1]);
fs.writeFile(D + "/f", "text", (e) => {
  order.push("written", e);
  fs.open(D + "/f", "r", (e, fd) => {
    fs.read(fd, Buffer.alloc(4), 0, 4, 0, (e, n, b) => {
      order.push(e, n, b.toString());
      fs.close(fd, async () => {
        show(order, await promisify(fs.exists)(D + "/f"), await promisify(fs.exists)(D + "/no"));
        const back = await promisify(fs.open)(D + "/f", "a");
        show(await promisify(fs.write)(back, "more"));
        await promisify(fs.close)(back);
        fs.readFile(D + "/none", (e, d) => {
          show(e.code, e.message, d === undefined);
          fs.rename(D + "/f", D + "/g", (e) => fs.readdir(D, (e, names) => show(e, names)));
        });
      });
    });
  });
});
order.push("first");
try {
  fs.readFile(D + "/f");
} catch (e) {
  show(e.code);
}
