/** A volume in memory with a session over it, and a kernel that talks to it. */
import { onTestFinished } from "vitest";
import type { FuseSessionOptions } from "../../src/fuse/options.ts";
import { FuseSession } from "../../src/fuse/session.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { RamMedia } from "../../src/media/ram.ts";
import {
  type MakeVolumeOptions,
  type OpenVolumeOptions,
  type Volume,
  makeVolume,
  openVolume,
} from "../../src/node/index.ts";
import { FuseClient } from "./fuse-client.ts";

const MIB = 2 ** 20;

export interface FuseVolume {
  readonly volume: Volume;
  readonly session: FuseSession;
  readonly kernel: FuseClient;
}

/** Options of both, and of the image. */
export interface FuseVolumeOptions extends FuseSessionOptions {
  readonly make?: MakeVolumeOptions;
  readonly open?: OpenVolumeOptions;
  readonly bytes?: number;
}

/** See the module; FUSE_INIT is done. Everything follows from one seed. */
export function fuseVolume(options: FuseVolumeOptions = {}): FuseVolume {
  const { make = {}, open = {}, bytes = 16 * MIB, ...shown } = options;
  const environment = seededEnvironment(5);
  const media = new RamMedia(bytes);
  makeVolume(media, { environment, ...make });
  const volume = openVolume(media, { write: true, environment, ...open });
  const session = new FuseSession(volume.tree, shown);
  onTestFinished(() => {
    session.end();
    volume.close({ revoke: true });
  });
  const kernel = new FuseClient(session);
  kernel.init();
  return { volume, session, kernel };
}
