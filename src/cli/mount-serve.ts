/**
 * A mount in this process: opens the volume, mounts it, and stays until it is unmounted.
 *
 * @module
 */
import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { DaxError, type ErrnoCode, isDaxError } from "../lib/errno.ts";
import type { Tracer } from "../lib/environment.ts";
import type { FuseMountOptions } from "../node/fuse/mount.ts";
import type { FuseMount } from "../node/fuse/mount-server.ts";
import type { NbdServer } from "../node/nbd/server.ts";
import type { OpenVolumeOptions, Volume } from "../node/volume.ts";
import { isOperatingError, oneLine } from "./errors.ts";
import { type KeptRecord, keepRecord } from "./mount-record.ts";
import type { MountSettings } from "./mount-words.ts";
import { EndWishes } from "./signals.ts";
import { traced } from "./tracing.ts";
import { withUsers } from "./unmounting.ts";

/** What is to be mounted where. */
export interface MountPlan {
  /** An absolute path, or a URI. */
  readonly source: string;
  /** An absolute path. */
  readonly directory: string;
  readonly settings: Readonly<MountSettings>;
  /** A unix socket at which the volume is served over NBD as well, to be read. */
  readonly nbd: string | undefined;
  /** A file to which dax trace events are written meanwhile. */
  readonly trace?: string | undefined;
}

/** Who hears of a mount. */
export interface MountEars {
  /** It can be used. */
  onMounted(mount: FuseMount): void;
  /** Something went wrong, or is done later than somebody wished; the mount goes on. */
  complain(text: string): void;
}

/** How often it is tried to unmount what was busy. */
const RETRY_MS = 250;

/**
 * Mounts, and returns when it was unmounted and the image is closed.
 * @throws as `openVolume` and `mountFuse`, with nothing mounted; what closing the image says
 */
export async function serveMount(plan: MountPlan, ears: MountEars): Promise<void> {
  await traced(plan.trace, () => serveUntraced(plan, ears));
}

async function serveUntraced(plan: MountPlan, ears: MountEars): Promise<void> {
  const { openVolume } = await import("../node/volume.ts");
  const { mountFuse } = await import("../node/fuse/mount.ts");
  const { systemEnvironment } = await import("../node/environment.ts");
  const environment = { ...systemEnvironment, trace: damageTracer(ears) };
  const volume = opened(plan, () => {
    return openVolume(plan.source, { ...volumeOptions(plan), environment });
  });
  const wishes = new EndWishes();
  try {
    const server = await serveBeside(plan, volume, ears);
    try {
      const mount = await mountFuse(volume, plan.directory, fuseOptions(plan));
      await serve(plan, { volume, server }, mount, ears, wishes);
    } finally {
      await server?.close();
    }
  } finally {
    wishes.close();
    volume.close({ revoke: true });
  }
}

/** What lies under a mount, and is closed behind it. */
interface Served {
  readonly volume: Volume;
  readonly server: NbdServer | undefined;
}

async function serveBeside(
  { source, nbd }: MountPlan,
  volume: Volume,
  ears: MountEars,
): Promise<NbdServer | undefined> {
  if (nbd === undefined) return undefined;
  const { serveNbd } = await import("../node/nbd/server.ts");
  const { exportVolume } = await import("../node/nbd/volume-export.ts");
  return await serveNbd({
    exports: [exportVolume(volume, { name: basename(source) })],
    listen: { path: nbd },
    onFault: (fault) => ears.complain(oneLine(fault)),
  });
}

async function serve(
  plan: MountPlan,
  { volume, server }: Served,
  mount: FuseMount,
  ears: MountEars,
  wishes: EndWishes,
): Promise<void> {
  const { mountAt } = await import("../node/fuse/mount-table.ts");
  const device = mountAt(mount.directory)?.device ?? "";
  const record = keepRecord({ device, source: plan.source, directory: mount.directory });
  try {
    ears.onMounted(mount);
    await stay(mount, ears, wishes);
  } finally {
    await close({ volume, server }, record);
  }
}

/** Closes the image, and lets whoever waits for that know how it went. @throws EIO */
async function close({ volume, server }: Served, record: KeptRecord): Promise<void> {
  record.ending();
  try {
    await server?.close();
    volume.close({ revoke: true });
    record.closed();
  } catch (error) {
    record.closed(isOperatingError(error) ? oneLine(error) : String(error));
    throw error;
  }
}

/** Until somebody unmounts it, or wishes so: once to wait for who uses it, twice not to. */
async function stay(mount: FuseMount, ears: MountEars, wishes: EndWishes): Promise<void> {
  const ended = mount.ended.then(() => "ended" as const);
  // Nobody may be waiting for it any more when it fails.
  ended.catch(() => {});
  if ((await Promise.race([ended, wishes.next()])) === "ended") return;
  const second = wishes.next();
  for (let tries = 0; ; tries++) {
    // oxlint-disable-next-line no-await-in-loop -- until nobody uses it any more
    const why = await hindrance(mount);
    // oxlint-disable-next-line no-await-in-loop
    const next = await Promise.race([ended, second, delay(RETRY_MS, "again" as const)]);
    if (next === "ended") return;
    if (next !== "again") break;
    // Who only looked, as a file that was just closed or a desktop does, is gone by the second try.
    if (tries === 1) ears.complain(`${why}; a second signal ends it at once`);
  }
  await mount.unmount({ lazy: true, force: true });
}

/** Unmounts; if that is not the end of it, why. */
async function hindrance(mount: FuseMount): Promise<string> {
  try {
    await mount.unmount();
    return `${mount.directory} is mounted at another place, or in another namespace, too`;
  } catch (error) {
    const named = withUsers(error, mount.directory);
    if (!isOperatingError(named)) throw error;
    return oneLine(named);
  }
}

const REMEDIES: Partial<Record<ErrnoCode, string>> = {
  EACCES: "it cannot be opened for writing: chmod u+w, or mount it with -o ro",
  EPERM: "it cannot be opened for writing: chattr -i, or mount it with -o ro",
  EROFS: "it is on a filesystem that is mounted read-only: mount it with -o ro",
};

function opened<T>({ source, settings }: MountPlan, open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (!isDaxError(error) || settings.readOnly || error.detail !== undefined) throw error;
    const detail = REMEDIES[error.code];
    if (detail === undefined) throw error;
    throw new DaxError(error.code, { syscall: error.syscall ?? "open", path: source, detail });
  }
}

/** What the kernel would write into its log. */
function damageTracer(ears: MountEars): Tracer {
  return {
    event(point, fields) {
      if (point === "ext.error") ears.complain(`damage was found: ${fields["detail"]}`);
      if (point === "ext.abort") ears.complain(`nothing is written any more (${fields["code"]})`);
    },
  };
}

function volumeOptions({ settings }: MountPlan): OpenVolumeOptions {
  const { readOnly, atime, nodiratime, noload, nodelalloc, minixdf } = settings;
  const { offset, partition, dax, commit, errors, data } = settings;
  return {
    write: !readOnly,
    noload,
    nodelalloc,
    minixdf,
    atime,
    nodiratime,
    ...(offset === undefined ? {} : { offset }),
    ...(partition === undefined ? {} : { partition }),
    ...(dax === undefined ? {} : { dax }),
    ...(commit === undefined ? {} : { commit }),
    ...(errors === undefined ? {} : { errors }),
    ...(data === undefined ? {} : { data }),
  };
}

function fuseOptions({ source, settings }: MountPlan): FuseMountOptions {
  const { readOnly, noexec, nodev, nosuid, writebackCache, noOpen, nonempty } = settings;
  const { autoUnmount, fsname = source, subtype = "daxkit", uid, gid, umask } = settings;
  return {
    readOnly,
    noexec,
    nodev,
    nosuid,
    noatime: settings.atime === "none",
    writebackCache,
    noOpen,
    nonempty,
    autoUnmount,
    fsname,
    subtype,
    // As with the kernel's own mounts, which are everybody's; others may see their own only.
    allowOther: settings.allowOther ?? process.geteuid?.() === 0,
    engine: "blocking",
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
    ...(umask === undefined ? {} : { umask }),
  };
}
