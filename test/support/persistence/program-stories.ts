/** What commands promise, the steps of the tour, and the calls of generated workloads. */
import { RamDisk } from "../../../src/block/ram-disk.ts";
import { storeEverywhere } from "../../../src/cli/tour-steps.ts";
import { AceSuite } from "../../../src/crash/ace/suite.ts";
import { parseWorkload } from "../../../src/crash/ace/workload.ts";
import { explore } from "../../../src/crash/explorer.ts";
import { EXT4_DIRSYNC_FL } from "../../../src/format/ext-inode.ts";
import { ext } from "../../../src/fs/ext/ext.ts";
import { seededEnvironment } from "../../../src/lib/environment.ts";
import { isDaxError } from "../../../src/lib/errno.ts";
import { bootMachine } from "../../../src/machine/boot.ts";
import { FileTree } from "../../../src/vfs/file-tree.ts";
import { noise, same } from "../bytes.ts";
import { runLine } from "../command-line.ts";
import { type ModelledHost, onHost } from "./modelled-host.ts";
import { type Story, objectionOf } from "./story.ts";
import { EXT4, imageOf } from "./tree-check.ts";

const BYTES = noise(3, 200);

/** Whether a file is in what a power cut leaves of an image. */
function isIn(host: ModelledHost, image: string): boolean {
  const disk = new RamDisk({ name: "ram0", bytes: Uint8Array.from(host.durable(image)) });
  try {
    const tree = new FileTree(ext.mount(disk, { write: true }, seededEnvironment(1)));
    const found = new Uint8Array(BYTES.length);
    tree.open("/f").pread(found, 0);
    return same(found, BYTES);
  } catch (error) {
    if (isDaxError(error, "ENOENT")) return false;
    throw error;
  }
}

/** Power may be cut whenever something has become durable: the file is in one image then. */
const moved = (isDirsync: boolean): Story => ({
  name: `command: mv between images${isDirsync ? ", from where it is gone at once" : ""}`,
  run: () =>
    onHost(async (host) => {
      const empty = imageOf(EXT4);
      const full = imageOf({
        ...EXT4,
        prepare: (tree) => {
          const file = tree.open("/f", { create: true, access: "write" });
          file.write(BYTES);
          file.close();
          const { writing } = tree.stat("/");
          if (isDirsync && writing !== undefined) writing.flags |= EXT4_DIRSYNC_FL;
        },
      });
      const [from, to] = [host.file(full, "from"), host.file(empty, "to")];
      host.onDurable = () => {
        if (!isIn(host, from) && !isIn(host, to)) host.objection ??= "the file is nowhere";
      };
      const { stderr } = await runLine(["mv", `${from}:/f`, `${to}:/f`]);
      host.objection ??= stderr === "" ? undefined : stderr;
      if (isIn(host, from) || !isIn(host, to)) host.objection ??= "it did not move";
    }),
});

/** Zeros are what there was before. */
const toured: Story = {
  name: "tour: the same page everywhere",
  run: () => {
    const machine = bootMachine({ pmem: { size: "2M", modelled: true } });
    const media = machine.modelled("pmem0");
    if (media === undefined) return "memory is not modelled";
    const initial = media.recorder.image.slice();
    storeEverywhere(machine);
    media.ack("stored");
    const check = (cut: typeof media, acked: readonly unknown[]): string | undefined => {
      const last = cut.window(initial.length - 4096).memory;
      for (let at = initial.length - 4096; at < initial.length; at += 64) {
        if (acked.length > 0 && last.getUint8(at) !== 0x5a) return "a line of the page is lost";
      }
      return undefined;
    };
    const found = explore({
      initial,
      modelled: {},
      trace: media.trace,
      program: { check },
      torn: "line",
      depth: 1,
      budget: { leaves: 10_000, steps: 1_000_000 },
      stopAtFirst: true,
    });
    return objectionOf(found);
  },
};

/** Each way in which a generated workload makes something durable. */
const generated = [
  "creat /foo, sync",
  "creat /foo, write /foo append, fsync /foo",
  "creat /foo, write /foo append, fdatasync /foo",
  "creat /foo, write /foo append | mmapwrite /foo overlap, msync /foo",
].map((text): Story => ({
  name: `ace: ${text}`,
  run: () => {
    const { kind, said } = new AceSuite({ filesystem: "ext4", model: "memory" }).run(
      parseWorkload(text),
    );
    return kind === "Survived" ? undefined : `${kind}: ${said}`;
  },
}));

export const stories: readonly Story[] = [moved(false), moved(true), toured, ...generated];
