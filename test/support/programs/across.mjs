/* oxlint-disable */
import fs from "node:fs";
import { failed, show } from "./show.cjs";

const D = process.argv[2];
fs.writeFileSync(D + "/f", "");
show(
  failed(() => fs.renameSync(D + "/f", "/tmp/daxkit-never")),
  failed(() => fs.linkSync(import.meta.filename ?? "/etc/passwd", D + "/l")),
);
await fs.promises.rename(D + "/f", "/tmp/daxkit-never").catch((e) => show(e.code));
fs.rename(D + "/f", "/tmp/daxkit-never", (e) => show(e.code));
show(
  failed(() => fs.rmdirSync(D)),
  fs.openSync(D + "/f") > 1000,
);
