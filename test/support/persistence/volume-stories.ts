/** Volumes as programs have them: opened, exported, proved, on a disk of somebody else's. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { join } from "node:path";
import { writeFileSync } from "node:fs";
import { RamDisk } from "../../../src/block/ram-disk.ts";
import { ext } from "../../../src/fs/ext/ext.ts";
import { copyIn } from "../../../src/lib/memory.ts";
import { seededEnvironment } from "../../../src/lib/environment.ts";
import { RamMedia } from "../../../src/media/ram.ts";
import { type Disk, mount } from "../../../src/node/ext2fs.ts";
import { makeFacade, type VolumeFs } from "../../../src/node/facade/facade.ts";
import { copyWhole } from "../../../src/node/image/whole-copy.ts";
import { openNbdMedia } from "../../../src/node/nbd/client-media.ts";
import { exportVolume } from "../../../src/node/nbd/volume-export.ts";
import { CallRecorder } from "../../../src/node/program/call-recorder.ts";
import { faultyStage } from "../../../src/node/program/stage.ts";
import { type VolumeProof, expectAtomic, prove } from "../../../src/node/prove.ts";
import { openVolume } from "../../../src/node/volume.ts";
import { FileTree } from "../../../src/vfs/file-tree.ts";
import { noise, same } from "../bytes.ts";
import { type ModelledHost, onHost } from "./modelled-host.ts";
import type { Story } from "./story.ts";
import { EXT2, EXT4, brokenMedia, brokenTree, imageOf } from "./tree-check.ts";

const BYTES = noise(3, 200);
const KEPT = { path: "/f", bytes: BYTES };

/** Whether an image has the file. */
function withoutFile(image: Uint8Array<ArrayBuffer>): string | undefined {
  const disk = new RamDisk({ name: "ram0", bytes: image });
  const tree = new FileTree(ext.mount(disk, { write: true }, seededEnvironment(1)));
  const found = new Uint8Array(BYTES.length);
  tree.open("/f").pread(found, 0);
  return same(found, BYTES) ? undefined : "/f has other bytes";
}

async function* pieces() {
  yield BYTES.subarray(0, 90);
  yield BYTES.subarray(90);
}

const opened: readonly Story[] = [
  {
    name: "volume: sync",
    run: (patience) => {
      return brokenMedia(
        EXT2,
        ({ media, promise }) => {
          const volume = openVolume(media, { write: true });
          volume.fs.writeFileSync("/f", BYTES);
          volume.sync();
          promise(KEPT);
          volume.close();
        },
        patience,
      );
    },
  },
  {
    name: "volume: a moment of it, for who copies it",
    run: () => {
      const image = imageOf(EXT4);
      const media = new RamMedia(image.length);
      copyIn(media.window(0).memory, 0, image);
      const volume = openVolume(media, { write: true });
      volume.fs.writeFileSync("/f", BYTES);
      const { store, onAttach, onDetach } = exportVolume(volume);
      onAttach?.();
      store.read(0, image);
      onDetach?.();
      volume.close();
      return withoutFile(image);
    },
  },
  {
    name: "volume: pieces of a file, as a program's recorder writes them",
    run: (patience) => {
      return brokenTree(
        EXT2,
        async ({ tree, promise }) => {
          const recorder = new CallRecorder({ emit: () => {}, fs: () => fs });
          const { fs }: { fs: VolumeFs } = makeFacade(tree, { observer: recorder.observer });
          await fs.promises.writeFile("/f", pieces() as never, { flush: true });
          promise(KEPT);
        },
        patience,
      );
    },
  },
];

/** A disk as ext2fs has it, that keeps what was flushed. */
class KeptDisk implements Disk {
  readonly #bytes: Buffer;
  kept: Uint8Array<ArrayBuffer>;

  constructor(image: Uint8Array<ArrayBuffer>) {
    this.#bytes = Buffer.from(image);
    this.kept = image;
  }

  async getCapacity(): Promise<number> {
    return this.kept.length;
  }

  async read(into: Buffer, at: number, length: number, offset: number): Promise<void> {
    this.#bytes.copy(into, at, offset, offset + length);
  }

  async write(from: Buffer, at: number, length: number, offset: number): Promise<void> {
    from.copy(this.#bytes, offset, at, at + length);
  }

  async flush(): Promise<void> {
    this.kept = new Uint8Array(this.#bytes);
  }
}

const foreign: Story = {
  name: "volume: on a disk of ext2fs",
  run: async () => {
    const disk = new KeptDisk(imageOf(EXT2));
    const fs = await mount(disk);
    fs.writeFileSync("/f", BYTES);
    await fs.sync();
    return withoutFile(disk.kept);
  },
};

/** Threads do not inherit what loads sources on Node 20. */
const SERVER = `import("tsx/esm/api").then(({ register }) => {
  register();
  return import("${new URL("export-thread.ts", import.meta.url).href}");
})`;

/** An export whose server keeps what was flushed, in a thread: who asks it is blocked. */
async function onExport(
  { folder }: ModelledHost,
  use: (uri: string) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const kept = new SharedArrayBuffer(256 * 1024);
  const server = new Worker(SERVER, {
    eval: true,
    workerData: { kept, socket: join(folder, "nbd.sock") },
    execArgv: [],
    // Node's own sockets, which it can end at any time.
    env: { DAXKIT_FFI: "off" },
  });
  try {
    const [uri] = (await once(server, "message")) as [string];
    use(uri);
    return Uint8Array.from(new Uint8Array(kept));
  } finally {
    await server.terminate();
  }
}

const exports: readonly Story[] = [
  {
    name: "export: as media",
    run: () =>
      onHost(async (host) => {
        const kept = await onExport(host, (uri) => {
          const media = openNbdMedia(uri);
          copyIn(media.window(0).memory, 5000, BYTES);
          media.flush(5000, BYTES.length);
          media.fence();
        });
        if (!same(kept.subarray(5000, 5200), BYTES)) host.objection = "it was not flushed";
      }),
  },
  {
    name: "export: an image is copied to it",
    run: () =>
      onHost(async (host) => {
        const image = join(host.folder, "image");
        writeFileSync(image, noise(8, 100_000));
        const kept = await onExport(host, (uri) => void copyWhole(image, uri));
        if (!same(kept.subarray(0, 100_000), noise(8, 100_000))) {
          host.objection = "what was copied is not durable";
        }
      }),
  },
];

/** A file that is replaced; the directory is synced, or forgotten. */
const replaced = (isWhole: boolean): VolumeProof => ({
  setup: ({ fs }) => {
    fs.mkdirSync("/data");
    fs.writeFileSync("/data/f", "old");
  },
  check: expectAtomic("/data/f", "old", "new"),
  workload: ({ fs, ack }) => {
    fs.writeFileSync("/data/f.tmp", "new", { flush: true });
    fs.renameSync("/data/f.tmp", "/data/f");
    if (isWhole) {
      const fd = fs.openSync("/data", "r");
      fs.fsyncSync(fd);
      fs.closeSync(fd);
    }
    ack("replaced");
  },
});

const proofs: readonly Story[] = [
  {
    name: "prove: what was set up is there",
    run: async () => {
      const verdict = await prove(replaced(true));
      return verdict.kind === "Survived" ? undefined : `it is called ${verdict.kind}`;
    },
  },
  {
    name: "prove: what was not written yet was done all the same",
    run: async () => {
      const { kind } = await prove({
        check: ({ fs, acked }) => acked.length === 0 || fs.existsSync("/d") || "/d is gone",
        workload: ({ fs, ack }) => {
          fs.mkdirSync("/d");
          ack("made");
        },
      });
      return kind === "Lost" ? undefined : `it is called ${kind}`;
    },
  },
  {
    name: "prove: a call that is missing mends it",
    run: async () => {
      const verdict = await prove(replaced(false));
      if (verdict.kind !== "Lost") return `it is called ${verdict.kind}`;
      return verdict.missingCalls?.[0]?.path === "/data" ? undefined : "no call mends it";
    },
  },
];

/** What a program prepared is not counted when something is to fail, as the proof does not. */
const staged: Story = {
  name: "program: what setup did is durable before anything fails",
  run: () => {
    const fault = { kind: "write", at: 1000, during: "workload" } as const;
    const stage = faultyStage({ check: () => true, workload: () => {} }, "/data", fault);
    stage.tree.mkdir("/data/made");
    stage.begin();
    stage.tree.sync();
    const { write } = stage.injector.counts;
    return write === 0 ? undefined : `${write} writes of the setup are counted`;
  },
};

export const stories: readonly Story[] = [staged, ...opened, foreign, ...exports, ...proofs];
