/** Requests of a kernel in words, and what they did said again to another session. */
import { expect, test } from "vitest";
import type { FuseServer } from "../../src/fuse/server.ts";
import { FuseSession } from "../../src/fuse/session.ts";
import type { RecordedStep } from "../../src/node/prove/mounted/recorded-run.ts";
import { replaySteps } from "../../src/node/prove/mounted/replayed-run.ts";
import { RequestWords } from "../../src/node/prove/mounted/request-words.ts";
import type { ForeignCall } from "../../src/node/prove/calls.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { noise } from "../support/bytes.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { FuseClient } from "../support/fuse-client.ts";
import { ask, did, list, nodeOf } from "../support/fuse-requests.ts";

function newTree(): { readonly tree: FileTree; readonly bytes: Uint8Array } {
  const bytes = emptyImage({ type: "ext4", blockSize: 4096, inodes: 64 });
  const disk = new RamDisk({ name: "ram0", bytes });
  const filesystem = ext.mount(disk, { write: true }, seededEnvironment(1));
  return { tree: new FileTree(filesystem), bytes };
}

/** A server that writes down what it is asked. */
class Recording implements FuseServer {
  readonly steps: RecordedStep[] = [];
  readonly #session: FuseSession;
  readonly #words = new RequestWords();
  onNotice: FuseServer["onNotice"];

  constructor(session: FuseSession) {
    this.#session = session;
  }

  get calls(): ForeignCall[] {
    return this.steps.flatMap((step) => ("call" in step && step.call ? [step.call] : []));
  }

  get request(): FuseServer["request"] {
    return this.#session.request;
  }

  get reply(): FuseServer["reply"] {
    return this.#session.reply;
  }

  get ready(): boolean {
    return this.#session.ready;
  }

  answer(length: number): void {
    const frame = this.request.slice(0, length);
    this.#session.answer(length);
    const { bytes, length: said } = this.reply;
    const call = said === 0 ? undefined : this.#words.callOf(frame, bytes.slice(0, said));
    this.steps.push({ frame, call });
  }

  spoiled(): void {
    this.#session.spoiled();
  }

  end(): void {
    this.#session.end();
  }
}

/** Returns the node of a directory that it leaves empty but for one name. */
function work(kernel: FuseClient): number {
  kernel.init();
  const folder = nodeOf(did(kernel, 1, ask.mkdir("d")));
  const file = nodeOf(did(kernel, folder, ask.create("f1")));
  did(kernel, file, ask.write(file, 512, noise(1, 4096)));
  did(kernel, file, ask.fsync(true));
  did(kernel, 1, ask.rename(1, "d", "e"));
  did(kernel, file, ask.setattr({ valid: 8, size: 100 }));
  did(kernel, folder, ask.link(file, "g"));
  did(kernel, folder, ask.fsyncdir());
  did(kernel, folder, ask.unlink("f1"));
  return folder;
}

test("calls have their names, and paths follow what is renamed", () => {
  const recording = new Recording(new FuseSession(newTree().tree));
  const kernel = new FuseClient(recording);
  const folder = work(kernel);
  expect(kernel.send(ask.unlink("f1").opcode, folder, ask.unlink("f1").parts)?.errno).toBe(2);
  expect(recording.calls).toEqual([
    { name: "mkdir", path: "/d", place: "/d " },
    { name: "creat", path: "/d/f1", place: "/d/f# " },
    { name: "pwrite", path: "/d/f1", bytes: 4096, detail: "at 512", place: "/d/f# " },
    { name: "fdatasync", path: "/d/f1", place: "/d/f# " },
    { name: "rename", path: "/d", to: "/e", place: "/d /e" },
    { name: "truncate", path: "/e/f1", detail: "to 100", place: "/e/f# " },
    { name: "link", path: "/e/f1", to: "/e/g", place: "/e/f# /e/g" },
    { name: "fsync", path: "/e", place: "/e " },
    { name: "unlink", path: "/e/f1", place: "/e/f# " },
  ]);
});

test("nodes that came with a listing have paths, too", () => {
  const { tree } = newTree();
  tree.mkdir("/d");
  tree.mknod("/d/listed", { mode: 0o100644 });
  const recording = new Recording(new FuseSession(tree));
  const kernel = new FuseClient(recording);
  kernel.init();
  const folder = list(kernel, 1, 4096, true).find(({ name }) => name === "d")?.node ?? 0;
  const file = list(kernel, folder, 4096, true).find(({ name }) => name === "listed")?.node ?? 0;
  did(kernel, file, ask.write(file, 0, noise(1, 8)));
  expect(recording.calls.map(({ path }) => path)).toEqual(["/d/listed"]);
});

test("what was said again leaves the same volume, to the byte", () => {
  const [first, second] = [newTree(), newTree()];
  const recording = new Recording(new FuseSession(first.tree));
  work(new FuseClient(recording));
  recording.end();
  replaySteps(second.tree, recording.steps);
  for (const { tree } of [first, second]) tree.root.mount.filesystem.unmount();
  expect(Buffer.compare(first.bytes, second.bytes)).toBe(0);
  expect(Buffer.compare(first.bytes, newTree().bytes)).not.toBe(0);
});
