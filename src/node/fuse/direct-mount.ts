/**
 * Mounts made by mount(2), as root.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import { systemError } from "../system-error.ts";
import { fuseCalls, openDevice, slowCalls } from "./fuse-calls.unsafe.ts";
import { mountData, mountFlags, type MountServerOptions } from "./mount-options.ts";

/** The device of every FUSE filesystem. */
export const DEVICE = "/dev/fuse";

/** Text as the kernel takes it. @throws EINVAL for a NUL */
export function kernelText(text: string): Uint8Array {
  if (text.includes("\0")) {
    throw new DaxError("EINVAL", { syscall: "mount", detail: "a path or name contains NUL" });
  }
  return Buffer.from(`${text}\0`);
}

/**
 * Mounts on `path`: the descriptor of the connection.
 * @throws ENODEV where the kernel has no FUSE, EPERM and EACCES, EBUSY, and what mount(2) says
 */
export async function directMount(path: string, options: MountServerOptions): Promise<number> {
  const { fsname = "daxkit", subtype = "daxkit" } = options;
  const fd = openDevice(kernelText(DEVICE));
  if (fd < 0) throw withoutDevice(fuseCalls().errno());
  const type = subtype === "" ? "fuse" : `fuse.${subtype}`;
  const [source, target] = [kernelText(fsname), kernelText(path)];
  const data = kernelText(mountData(fd, options));
  const outcome = await slowCalls().mount(
    source,
    target,
    kernelText(type),
    mountFlags(options),
    data,
  );
  if (outcome >= 0) return fd;
  fuseCalls().close(fd);
  throw systemError(-outcome, { syscall: "mount", path, detail: `type ${type}` });
}

const MISSING = new Set([2, 6, 19]);

/** Why the device cannot be opened, and what to do. */
export function withoutDevice(errno: number): DaxError {
  const at = { syscall: "open", path: DEVICE };
  if (MISSING.has(errno)) {
    return new DaxError("ENODEV", {
      ...at,
      detail:
        "this kernel has no FUSE, or a container hides it; \
modprobe fuse, or start the container with --device /dev/fuse --cap-add SYS_ADMIN",
    });
  }
  return systemError(errno, { ...at, detail: "mounting needs this device" });
}
