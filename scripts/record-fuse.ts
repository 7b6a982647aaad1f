/**
 * `sudo npx tsx scripts/record-fuse.ts`: mounts a new volume, has the kernel of this machine do all
 * that `test/support/fuse-workload.py` does, and keeps what was said as the fixture that
 * `test/golden/fuse-conversation.test.ts` replays. To be run anew when answers change on purpose.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { encodeFrame, recordingStart } from "../src/fuse/recording.ts";
import { mountFuse } from "../src/node/fuse/mount.ts";
import { conversationTree } from "../test/support/fuse-conversation.ts";

const root = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "daxkit-record-"));
const parts: Uint8Array[] = [recordingStart()];
const { tree, clock } = conversationTree();
try {
  const mount = await mountFuse(tree, folder, {
    allowOther: true,
    record: (kind, frame) => {
      if (kind === "request") clock.requests++;
      parts.push(encodeFrame(kind, frame));
    },
  });
  const script = join(root, "test/support/fuse-workload.py");
  const child = spawn("/usr/bin/python3", [script, folder], { stdio: "inherit" });
  const [status] = (await once(child, "exit")) as [number | null];
  await mount.unmount();
  await mount.ended;
  if (status !== 0) throw new Error(`the workload ended with ${status}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const bytes = Buffer.concat(parts);
const packed = gzipSync(bytes, { level: 9 });
mkdirSync(join(root, "fixtures/fuse"), { recursive: true });
writeFileSync(join(root, "fixtures/fuse/conversation.gz"), packed);
process.stdout.write(
  `${clock.requests} requests, ${bytes.length} bytes, ${packed.length} packed\n`,
);
