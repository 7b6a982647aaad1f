/**
 * A process that mounts something, for `fuse.bench.ts`: an image by our driver, or a filesystem of
 * nothing. Arguments: `daxkit` or `empty`, the image, the directory. It prints a line when the
 * mount can be used, and ends when it is unmounted. `FUSE_BENCH_OPTIONS` is JSON with options of
 * the session and of the mount, to compare them; `FUSE_BENCH_COUNTS` names a file that gets the
 * number of requests of each kind, and the time in answering them.
 */
import { writeFileSync } from "node:fs";
import { FuseOpcode } from "../dist/format/fuse-flags.js";
import type { FuseServer } from "../dist/fuse/server.js";
import { FuseSession } from "../dist/fuse/session.js";
import { mountServer } from "../dist/node/fuse/mount-server.js";
import { openVolume } from "../dist/node/volume.js";
import { EmptyServer } from "../test/support/empty-fuse.ts";

const [kind = "", image = "", directory = ""] = process.argv.slice(2);
const options = JSON.parse(process.env["FUSE_BENCH_OPTIONS"] ?? "{}") as object;
const counts = process.env["FUSE_BENCH_COUNTS"];
/** Bytes of the file that an empty filesystem has. */
const EMPTY_BYTES = 2 ** 30;
const OPCODE_AT = 4;
const UNKNOWN = 128;

/** Counts what a server is asked, and how long it takes to answer. */
function counted(server: FuseServer, path: string): FuseServer {
  const calls = new Float64Array(UNKNOWN + 1);
  const nanoseconds = new Float64Array(UNKNOWN + 1);
  const opcodes = new DataView(server.request.buffer);
  const answer = server.answer.bind(server);
  server.answer = (length) => {
    const opcode = Math.min(opcodes.getUint32(OPCODE_AT, true), UNKNOWN);
    const began = process.hrtime.bigint();
    answer(length);
    nanoseconds[opcode]! += Number(process.hrtime.bigint() - began);
    calls[opcode]!++;
  };
  const names = new Map(Object.entries(FuseOpcode).map(([name, code]) => [code, name]));
  const write = () => {
    const rows = [...calls.keys()].filter((code) => calls[code]! > 0);
    const table = rows.map((code) => ({
      opcode: names.get(code as never) ?? String(code),
      calls: calls[code],
      microseconds: Number((nanoseconds[code]! / calls[code]! / 1000).toFixed(2)),
    }));
    writeFileSync(path, `${JSON.stringify(table)}\n`);
    calls.fill(0);
    nanoseconds.fill(0);
  };
  process.on("SIGUSR2", write);
  return server;
}

const volume = kind === "empty" ? undefined : openVolume(image, { write: true });
const server =
  volume === undefined
    ? new EmptyServer({ size: EMPTY_BYTES })
    : new FuseSession(volume.tree, options);
const mount = await mountServer(
  counts === undefined ? server : counted(server, counts),
  directory,
  { engine: "blocking", allowOther: true, fsname: image, ...options },
);
process.stdout.write("mounted\n");
await mount.ended;
volume?.close();
