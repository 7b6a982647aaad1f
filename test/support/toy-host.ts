/** Files in memory, for machines that want files. */
import { DaxError } from "../../src/lib/errno.ts";
import type { MachineHost } from "../../src/machine/backing.ts";
import type { Media } from "../../src/media/media.ts";
import { RamMedia } from "../../src/media/ram.ts";

export class ToyHost implements MachineHost {
  readonly files = new Map<string, Media>();
  readonly closed: string[] = [];

  add(path: string, size: number): void {
    const media = new RamMedia(size);
    media.close = () => this.closed.push(path);
    this.files.set(path, media);
  }

  openMedia(path: string, options: { readonly create?: number }): Media {
    if (options.create !== undefined) this.add(path, options.create);
    const media = this.files.get(path);
    if (media === undefined) throw new DaxError("ENOENT", { syscall: "open", path });
    return media;
  }
}
