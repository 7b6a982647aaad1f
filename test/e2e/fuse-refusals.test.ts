/**
 * What may go wrong with a mount: each says what it is and what to do. And ordinary users, who
 * mount through fusermount3: in a mount namespace of their own, where /dev/fuse is for everyone.
 */
import {
  chmodSync,
  chownSync,
  ftruncateSync,
  openSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { mountServer, unmountAll } from "../../src/node/fuse/mount-server.ts";
import { HostMapping } from "../../src/node/host-mapping.unsafe.ts";
import { libc } from "../../src/node/libc.unsafe.ts";
import { programs } from "../judges/judge.ts";
import { EmptyServer } from "../support/empty-fuse.ts";
import { fuseJudge, mountPlace, MountingChild, shell, unmounted } from "../support/fuse-mounts.ts";
import { scratch } from "../support/scratch.ts";

const tools = programs(
  ["fusermount3", "unshare", "nsenter", "setpriv"],
  "apt-get install fuse3 util-linux",
);
const judge = {
  missing: fuseJudge.missing || tools.missing,
  hint: fuseJudge.hint || tools.hint,
};
const NOBODY = 65_534;
const AS_NOBODY = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];

/** Runs a program where /dev/fuse is a node of its own, with this mode and minor number. */
function withDevice(mode: string, minor: number, ...rest: string[]): string[] {
  const script = `mount -t tmpfs none /mnt && mknod -m ${mode} /mnt/fuse c 10 ${minor} &&
    chmod ${mode} /mnt/fuse && mount --bind /mnt/fuse /dev/fuse && umount -l /mnt && exec "$@"`;
  return ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", ...rest];
}

function attempt(path: string) {
  return mountServer(new EmptyServer(), path);
}

afterEach(() => unmountAll({ force: true }));

test.skipIf(judge.missing)(`what is wrong with a directory${judge.hint}`, async () => {
  const folder = mountPlace();
  const file = join(folder, "file");
  await expect(attempt(file)).rejects.toThrow(/^ENOENT: .*'.*file' .*make the directory/u);
  writeFileSync(file, "");
  await expect(attempt(file)).rejects.toThrow(/^ENOTDIR: .*take a directory/u);
  await expect(attempt(folder)).rejects.toThrow(/^ENOTEMPTY: .*say nonempty/u);
  const mount = await mountServer(new EmptyServer(), folder, { nonempty: true });
  await expect(attempt(folder)).rejects.toThrow(/^EBUSY: .*daxkit is mounted there already/u);
  await expect(attempt(`${folder}\0`)).rejects.toThrow(/^EINVAL: /u);
  await mount.unmount();
  expect(readFileSync(file, "utf8")).toBe("");
});

test.skipIf(judge.missing)(`a mount whose process is gone${judge.hint}`, async () => {
  const folder = mountPlace();
  const child = new MountingChild({ directories: [folder], options: { autoUnmount: false } });
  expect(await child.outcome()).toBe("ok");
  child.kill();
  await shell('while stat "$1"; do sleep 0.01; done 2>&1 > /dev/null', folder);
  await expect(mountServer(new EmptyServer(), folder)).rejects.toThrow(/umount -l DIRECTORY/u);
});

test.skipIf(judge.missing)(`no FUSE, no FFI, no fusermount3${judge.hint}`, async () => {
  const directories = [mountPlace()];
  const none = new MountingChild({ directories }, withDevice("600", 250));
  expect(await none.outcome()).toMatch(/^ENODEV .*modprobe fuse/u);
  const off = new MountingChild({ directories }, [], { DAXKIT_FFI: "off" });
  expect(await off.outcome()).toMatch(/^ENOTSUP .*DAXKIT_FFI is off; install the koffi package/u);
  const options = { through: "fusermount3" } as const;
  const lost = new MountingChild({ directories, options }, [], { PATH: "/nonexistent" });
  expect(await lost.outcome()).toMatch(/^ENOENT .*apt-get install fuse3/u);
});

test.skipIf(judge.missing)(`ordinary users are told what they may not${judge.hint}`, async () => {
  const foreign = mountPlace();
  chmodSync(foreign, 0o755);
  const wish = { directories: [foreign] };
  const refused = new MountingChild(wish, withDevice("666", 229, ...AS_NOBODY), { HOME: "/tmp" });
  expect(await refused.outcome()).toMatch(/^EACCES .*the mount point is not ours/u);
  const own = mountPlace();
  chownSync(own, NOBODY, NOBODY);
  const closed = new MountingChild({ directories: [own] }, withDevice("600", 229, ...AS_NOBODY));
  expect(await closed.outcome()).toMatch(/^EACCES .*only root's here: chmod 666/u);
});

test.skipIf(judge.missing)(`ordinary users mount through fusermount3${judge.hint}`, async () => {
  const folder = mountPlace();
  chownSync(folder, NOBODY, NOBODY);
  const wish = { directories: [folder], size: 70_000, options: { fsname: "a,b\\c" } };
  const child = new MountingChild(wish, withDevice("666", 229, ...AS_NOBODY), { HOME: "/tmp" });
  expect(await child.outcome()).toBe("ok");
  const inside = ["nsenter", `--mount=/proc/${child.pid}/ns/mnt`, ...AS_NOBODY, "sh", "-c"];
  const there = (script: string) => shell('"$@"', ...inside, script, "sh", folder);
  const mounts = () => readFileSync(`/proc/${child.pid}/mounts`, "utf8");
  expect(mounts()).toContain(` ${folder} fuse.daxkit rw,nosuid,nodev,relatime,user_id=${NOBODY},`);
  expect(await there('cat "$1/file" | wc -c')).toBe("70000");
  const busy = there('exec 9< "$1/file"; while [ -e "$1/file" ]; do sleep 0.05; done; sleep 1');
  await shell("sleep 0.3");
  expect(await child.obey({ unmount: 0 })).toMatch(/^EBUSY /u);
  expect(await child.obey({ unmount: 0, options: { lazy: true } })).toBe("ok");
  expect(mounts()).not.toContain(folder);
  await busy;
  expect(await child.obey({ ended: 0 })).toBe("ok");
});

test.skipIf(judge.missing)(`kill -9 of an ordinary user's process${judge.hint}`, async () => {
  const folder = mountPlace();
  chownSync(folder, NOBODY, NOBODY);
  const command = withDevice("666", 229, ...AS_NOBODY);
  const child = new MountingChild({ directories: [folder] }, command, { HOME: "/tmp" });
  expect(await child.outcome()).toBe("ok");
  const inside = ["nsenter", `--mount=/proc/${child.pid}/ns/mnt`, "sh", "-c"];
  const wait = `echo; while grep -q " $1 " /proc/self/mounts; do sleep 0.05; done; echo free`;
  const freed = shell('"$@"', ...inside, wait, "sh", folder);
  await shell("sleep 0.3");
  child.kill();
  expect(await freed).toBe("free");
  await unmounted(folder);
});

test.skipIf(judge.missing)(`media that shrink are an I/O error${judge.hint}`, async () => {
  const folder = mountPlace();
  const path = scratch();
  writeFileSync(path, new Uint8Array(65_536).fill(7));
  const fd = openSync(path, "r+");
  const pieces = [{ start: 0, length: 65_536 }];
  const request = { fd, path, pieces, shared: true, sync: false, faults: undefined };
  const mapping = new HostMapping(libc()!, request);
  const memory = new Uint8Array(mapping.view(0, 65_536));
  const contents = (at: number, length: number) => [memory.subarray(at, at + length)];
  const mount = await mountServer(new EmptyServer({ size: 65_536, contents }), folder);
  expect(await shell('cat "$1/file" | cksum', folder)).toBe(await shell('cksum < "$1"', path));
  ftruncateSync(fd, 0);
  expect(await shell('cat "$1/file" 2>&1 || true', folder)).toMatch(/Input\/output error/u);
  await mount.unmount();
  mapping.release();
});
