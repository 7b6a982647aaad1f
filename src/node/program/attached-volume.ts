/**
 * The volume that this process sees at a path, one after the other: checks use `node:fs`, or
 * packages that do.
 *
 * @module
 */
import type { FileTree } from "../../vfs/file-tree.ts";
import { DaxError } from "../../lib/errno.ts";
import { type VolumeFs, makeFacade } from "../facade/facade.ts";
import { MountedPaths } from "./mounted-paths.ts";
import { patchFs } from "./patched-fs.ts";
import { UMASK } from "./stage.ts";

/** A path of this process where volumes can be shown. */
export class AttachedVolume {
  readonly #paths: MountedPaths;
  readonly #unpatch: () => void;
  #shown: VolumeFs | undefined;

  /** `mount` is an absolute path. From here on `node:fs` is changed. */
  constructor(mount: string) {
    this.#paths = new MountedPaths(mount, process.cwd.bind(process));
    this.#unpatch = patchFs({ paths: this.#paths, volume: () => this.#volume() });
  }

  /** Shows another volume, in whose tree `mount` is. Descriptors of the last are closed to it. */
  show(tree: FileTree): void {
    this.#paths.enter();
    this.#shown = makeFacade(tree, { umask: UMASK, workingDirectory: this.#paths.cwd }).fs;
  }

  /** `node:fs` is as it was. */
  end(): void {
    this.#unpatch();
  }

  #volume(): VolumeFs {
    if (this.#shown !== undefined) return this.#shown;
    const detail = "a check sees the volume when it is called, not while it is loaded";
    throw new DaxError("ENOTSUP", { path: this.#paths.mount, detail });
  }
}
