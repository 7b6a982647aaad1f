/* oxlint-disable */
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  opendirSync,
  readFileSync,
  readSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
  cpSync,
  mkdtempSync,
} from "node:fs";
import { failed, show } from "./show.cjs";

const D = process.argv[2];
mkdirSync(D + "/a/b", { recursive: true });
writeFileSync(D + "/a/f", "one");
appendFileSync(D + "/a/f", " two");
const fd = openSync(D + "/a/f", "r+");
const b = Buffer.alloc(3);
show(readSync(fd, b, 0, 3, null), b.toString());
show(writeSync(fd, "TWO"));
fsyncSync(fd);
show(fstatSync(fd).size);
closeSync(fd);
show(readFileSync(D + "/a/f", "utf8"), existsSync(D + "/a/none"));
linkSync(D + "/a/f", D + "/a/g");
symlinkSync(D + "/a/f", D + "/a/s");
symlinkSync("f", D + "/a/t");
show(readFileSync(D + "/a/s", "utf8"), readlinkSync(D + "/a/t"), realpathSync(D + "/a/s"));
show(
  realpathSync.native(D + "/a/t"),
  lstatSync(D + "/a/s").isSymbolicLink(),
  statSync(D + "/a/g").nlink,
);
renameSync(D + "/a/g", D + "/a/b/h");
copyFileSync(D + "/a/f", D + "/a/c");
truncateSync(D + "/a/c", 2);
cpSync(D + "/a", D + "/z", { recursive: true, filter: (p) => !p.endsWith("/s") });
utimesSync(D + "/a/f", 1e9, 1e9);
show(statSync(D + "/a/f").mtimeMs);
show(readdirSync(D).sort(), readdirSync(D, { recursive: true }).sort());
show(
  readdirSync(D + "/a", { withFileTypes: true })
    .map((e) => [e.name, e.isFile()])
    .sort(),
);
const dir = opendirSync(D + "/a");
const names = [];
for (let e; (e = dir.readSync());) names.push(e.name);
dir.closeSync();
show(names.sort());
show(
  failed(() => readFileSync(D + "/none")),
  failed(() => mkdirSync(D + "/a")),
  failed(() => unlinkSync(D)),
);
show(
  failed(() => openSync(D + "/a/f", "wx")),
  failed(() => renameSync(D + "/x", D + "/y")),
);
process.chdir(D + "/a");
show(
  process.cwd(),
  readFileSync("f", "utf8"),
  failed(() => statSync("nope")),
);
writeFileSync("../up", "up");
process.chdir("..");
show(readFileSync("up", "utf8"), readdirSync(".").sort());
show(
  mkdtempSync(D + "/tmp-").length - D.length,
  failed(() => process.chdir("up")),
);
rmSync(D + "/z", { recursive: true });
show(readdirSync(D).length);
