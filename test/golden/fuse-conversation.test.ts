/**
 * What a kernel (Linux 6.18) and a session said to each other while `fuse-workload.py` ran, said
 * again: every answer is the same, byte for byte. `scripts/record-fuse.ts` records it anew, when
 * answers change on purpose.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { FuseInHeader } from "../../src/format/fuse.ts";
import { FuseOpcode as Op } from "../../src/format/fuse-flags.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { decodeRecording, encodeFrame, recordingStart, replay } from "../../src/fuse/recording.ts";
import type { FuseServer } from "../../src/fuse/server.ts";
import { FuseSession } from "../../src/fuse/session.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { codeOf } from "../support/bytes.ts";
import { conversationTree } from "../support/fuse-conversation.ts";
import { ToyDisk } from "../support/toy-disk.ts";

const PATH = join(import.meta.dirname, "../../fixtures/fuse/conversation.gz");
const recording = new Uint8Array(gunzipSync(readFileSync(PATH)));

/** What a kernel never asks of a mount like ours, or nothing here makes it ask. */
const NEVER: ReadonlySet<number> = new Set([
  Op.FLUSH,
  Op.GETLK,
  Op.SETLK,
  Op.SETLKW,
  Op.ACCESS,
  Op.INTERRUPT,
  Op.BMAP,
  Op.DESTROY,
  Op.POLL,
  Op.NOTIFY_REPLY,
  Op.RELEASEDIR,
  Op.COPY_FILE_RANGE,
  Op.SETUPMAPPING,
  Op.REMOVEMAPPING,
  Op.SYNCFS,
]);

/** A session on the volume of the conversation whose clock is the count of its requests. */
function conversation(): { server: FuseServer; session: FuseSession; bytes: Uint8Array } {
  const { tree, clock, bytes } = conversationTree();
  const session = new FuseSession(tree);
  const server = new Proxy<FuseServer>(session, {
    get: (target, key) => {
      if (key === "answer") {
        return (length: number) => {
          clock.requests++;
          session.answer(length);
        };
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
    set: (target, key, value) => Reflect.set(target, key, value, target),
  });
  return { server, session, bytes };
}

test("is answered as it was, and leaves a volume without fault", () => {
  const { server, session, bytes } = conversation();
  expect([...replay(server, recording)]).toEqual([]);
  session.end();
  const toy = new ToyDisk({ pages: bytes.length / 4096 });
  toy.bytes.set(bytes);
  const environment = seededEnvironment(1);
  ext.mount(toy.disk, { write: true }, environment).unmount();
  expect([...ext.check(toy.disk, environment)]).toEqual([]);
});

test("has everything that a kernel asks", () => {
  const asked = new Set<number>();
  for (const { kind, frame } of decodeRecording(recording)) {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    if (kind === "request") asked.add(FuseInHeader.opcode.get(view, 0));
  }
  const missing = Object.entries(Op).filter(([, opcode]) => !asked.has(opcode));
  expect(missing.filter(([, opcode]) => !NEVER.has(opcode))).toEqual([]);
});

test("another answer is seen, and what is no recording is refused", () => {
  const frames = [...decodeRecording(recording)].slice(0, 40);
  const other = frames.map(({ kind, frame }, i) => {
    const copy = encodeFrame(kind, frame);
    if (i === 31) copy[copy.length - 1] = (copy[copy.length - 1] as number) ^ 1;
    return copy;
  });
  const bytes = Buffer.concat([recordingStart(), ...other]);
  expect([...replay(conversation().server, bytes)].length).toBe(1);
  for (const odd of [
    new Uint8Array(0),
    Buffer.from("daxfuse\u0002"),
    recording.subarray(0, recording.length - 1),
    Buffer.concat([recordingStart(), new Uint8Array(4)]),
    Buffer.concat([recordingStart(), Uint8Array.of(0, 0, 0, 0, 9, 0, 0, 0)]),
  ]) {
    expect(codeOf(() => [...decodeRecording(odd)])).toBe("EBADMSG");
  }
});
