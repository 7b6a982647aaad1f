/**
 * The volume of a running program: made as the proof makes its own, so that the same calls come to
 * the same end there.
 *
 * @module
 */
import { RamDisk } from "../../block/ram-disk.ts";
import { ext } from "../../fs/ext/ext.ts";
import { seededEnvironment } from "../../lib/environment.ts";
import { FileTree } from "../../vfs/file-tree.ts";
import { systemEnvironment } from "../environment.ts";
import { PRESETS } from "../prove/presets.ts";
import { ModelledMedia } from "../../media/modelled.ts";
import type { Filesystem } from "../../vfs/filesystem.ts";
import { FaultInjector } from "../prove/fault-injector.ts";
import type { Fault } from "../prove/faults.ts";
import { emptyVolume, mountProof } from "../prove/recording.ts";
import { underlayOf } from "../prove/underlay.ts";
import type { VolumeProof } from "../prove/volume-proof.ts";
import { treeAt } from "./mount-point.ts";

/** Permission bits that new files do not get, in every run. */
export const UMASK = 0o022;

/** Mounts an empty volume in memory; its clock is the machine's. */
export function programTree(proof: VolumeProof, mount: string): FileTree {
  const disk = new RamDisk({ name: "ram0", bytes: emptyDirectory(proof) });
  const { model = "ext4-dax" } = proof;
  const options = { ...PRESETS[model].mount, ...proof.mount, write: true } as const;
  return treeAt(ext.mount(disk, options, systemEnvironment), mount);
}

/** A volume of which something fails when it is time. */
export interface FaultyStage {
  readonly tree: FileTree;
  readonly injector: FaultInjector;
  /** Setup is over: what it did is durable, and things fail from now on. */
  begin(): void;
}

/** The volume as a proof records on it, so that the same writes come there, in the same number. */
export function faultyStage(proof: VolumeProof, mount: string, fault: Fault): FaultyStage {
  const underlay = { ...underlayOf(proof), treeOf: (volume: Filesystem) => treeAt(volume, mount) };
  const lines = underlay.linesOf(emptyVolume(proof));
  const media = new ModelledMedia(lines.length, underlay.modelled);
  const { recorder } = media;
  recorder.image.set(lines);
  recorder.recording = false;
  const injector = new FaultInjector(fault);
  const { tree, fs, pass } = mountProof(media, underlay, proof, undefined, (bare) =>
    injector.device(underlay.deviceOn(bare)),
  );
  fs.rmdirSync(`${mount}/lost+found`);
  return {
    tree,
    injector,
    begin: () => {
      tree.sync();
      pass(1);
      recorder.settleAliases();
      injector.on = true;
    },
  };
}

/** A volume in which nothing lies, as programs find the directories that they are told to use. */
export function emptyDirectory(proof: VolumeProof): Uint8Array<ArrayBuffer> {
  const bytes = emptyVolume(proof);
  const disk = new RamDisk({ name: "ram0", bytes });
  const tree = new FileTree(ext.mount(disk, { write: true }, seededEnvironment(1)));
  tree.rmdir("/lost+found");
  tree.mounts.close();
  return bytes;
}
