/**
 * A Linux kernel as a judge: boots a small guest under QEMU's emulator (no KVM, no root), runs one
 * shell script in it and brings back what the script left in `/out`.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { probed } from "../judges/judge.ts";
import { type CpioMember, cpio } from "./cpio.ts";

const here = import.meta.dirname;
const recipe = join(here, "build-guest.sh");
const PACKAGES = "qemu-system-x86 cpio kmod xz-utils zstd lz4";
const TOOLS = ["qemu-system-x86_64", "cpio", "depmod", "xz", "zstd", "lz4", "apt-get", "dpkg-deb"];
/** Room for what a job leaves in `/out`. */
const OUT_BYTES = 256 * 2 ** 20;
const COMMAND_LINE =
  "console=ttyS0 quiet panic=-1 nokaslr mitigations=off random.trust_cpu=on tsc=reliable " +
  "no_timer_check";

/** The tools that build and run the guest; its tests skip without them. */
export const guestTools = probed(() => {
  const PATH = [process.env["PATH"], "/usr/sbin", "/sbin"].join(delimiter);
  const has = (name: string): boolean =>
    spawnSync("which", [name], { env: { ...process.env, PATH } }).status === 0;
  return process.arch === "x64" && TOOLS.every((name) => has(name));
}, `on Debian for x86-64: apt-get install ${PACKAGES}`);

/** Hardware and software of one run. */
export interface GuestOptions {
  /** More words for the kernel: `memmap=64M!512M`. */
  readonly commandLine?: string;
  /** Memory modules that ACPI reports, each kept in a file; sizes in bytes. */
  readonly nvdimms?: readonly { readonly path: string; readonly size: number }[];
  /** Files that are virtio-pmem devices as they are. */
  readonly virtioPmem?: readonly string[];
  /** Files with tables of ACPI's that the firmware hands on, beside its own. */
  readonly acpiTables?: readonly string[];
  /** Virtio disks with the serials d0, d1, ...: paths, or NBD URIs. */
  readonly disks?: readonly string[];
  /** The unix socket that the guest reaches as 10.0.2.100, port 10809. */
  readonly forward?: string;
  /** Whether the job uses fio. */
  readonly fio?: boolean;
  /** Short texts for the job: `/job/NAME`. */
  readonly files?: Readonly<Record<string, string>>;
  /** 300 unless given: the emulator shares its machine with others. */
  readonly timeoutSeconds?: number;
}

/** What came back. */
export interface GuestRun {
  /** What the job printed. */
  readonly log: string;
  /** A file that the job left in `/out`; throws where there is none. */
  readonly file: (name: string) => string;
  readonly seconds: number;
}

/** The folder with the guest, built now if it is missing or the recipe is another one. */
export function builtGuest(): string {
  const cache = process.env["DAXKIT_GUEST_CACHE"] ?? join(homedir(), ".cache", "daxkit-guest");
  const suite = process.env["DAXKIT_GUEST_SUITE"] ?? "bookworm";
  const kernel = process.env["DAXKIT_GUEST_KERNEL"] ?? "linux-image-cloud-amd64";
  const folder = join(cache, suite, kernel);
  const stamp = join(folder, "RECIPE");
  const hash = createHash("sha256").update(fs.readFileSync(recipe)).digest("hex");
  if (!isBuilt(stamp, hash)) {
    fs.mkdirSync(join(cache, suite), { recursive: true });
    // Several files of tests may want it at once: it is built by the first, the others wait.
    const unlessBuilt = '[ "$(cat "$3/RECIPE" 2>/dev/null)" = "$0" ] || exec "$4" "$1" "$2" "$3"';
    const words = [`${folder}.lock`, "sh", "-c", unlessBuilt, hash, suite, kernel, folder, recipe];
    const { status, stderr } = spawnSync("flock", words, { encoding: "utf8" });
    if (status !== 0) throw new Error(`the guest cannot be built: ${stderr.slice(-2000)}`);
  }
  return folder;
}

function isBuilt(stamp: string, hash: string): boolean {
  return fs.existsSync(stamp) && fs.readFileSync(stamp, "utf8").trim() === hash;
}

function member(path: string, mode: number, data: Uint8Array | string): CpioMember {
  return { path, mode: 0o100000 | mode, data: Buffer.from(data) };
}

function ours(name: string): Buffer {
  return fs.readFileSync(join(here, name));
}

/** The initramfs: the guest's own, and over it the job with what it needs. */
function writeInitrd(path: string, guest: string, job: string, options: GuestOptions): void {
  const members = [
    member("init", 0o755, ours("init.sh")),
    member("lib/guest.sh", 0o644, ours("lib.sh")),
    member("job/job.sh", 0o644, ours(join("jobs", `${job}.sh`))),
    ...Object.entries(options.files ?? {}).map(([name, text]) =>
      member(`job/${name}`, 0o644, text),
    ),
  ];
  fs.copyFileSync(join(guest, "initrd"), path);
  if (options.fio === true) fs.appendFileSync(path, fs.readFileSync(join(guest, "initrd-fio")));
  fs.appendFileSync(path, cpio(members));
}

/** QEMU takes a comma in a value when it is doubled. */
function value(text: string): string {
  return text.replaceAll(",", ",,");
}

function devices({ nvdimms = [], virtioPmem = [], disks = [], forward }: GuestOptions): string[] {
  const words: string[] = [];
  const backed = (id: string, path: string, size: number, device: string): void => {
    const shared = `id=${id},mem-path=${value(path)},size=${size},share=on`;
    words.push("-object", `memory-backend-file,${shared}`, "-device", `${device},memdev=${id}`);
  };
  for (const [i, { path, size }] of nvdimms.entries()) backed(`nv${i}`, path, size, "nvdimm");
  for (const [i, path] of virtioPmem.entries()) {
    backed(`vp${i}`, path, fs.statSync(path).size, "virtio-pmem-pci");
  }
  for (const [i, path] of disks.entries()) {
    words.push("-drive", `file=${value(path)},format=raw,if=none,id=disk${i},discard=unmap`);
    words.push("-device", `virtio-blk-pci,drive=disk${i},serial=d${i}`);
  }
  if (forward !== undefined) {
    const relay = [process.execPath, join(here, "relay.mjs"), forward];
    const command = relay.map((word) => `'${word}'`).join(" ");
    const net = `user,id=net,restrict=on,guestfwd=tcp:10.0.2.100:10809-cmd:${value(command)}`;
    words.push("-netdev", net, "-device", "virtio-net-pci,netdev=net,romfile=");
  }
  return words;
}

/** A machine without any device that is not asked for. */
const MACHINE =
  "-accel tcg,thread=multi -cpu max,la57=off -smp 1 -nodefaults -no-user-config -display none " +
  "-no-reboot -device virtio-blk-pci,drive=out,serial=out";

function qemuArguments(guest: string, folder: string, options: GuestOptions): string[] {
  const { nvdimms = [], virtioPmem = [], commandLine = "", acpiTables = [] } = options;
  const slots = nvdimms.length + virtioPmem.length;
  const out = `file=${value(join(folder, "out.tar"))}`;
  const named: Readonly<Record<string, string>> = {
    machine: `q35,nvdimm=${nvdimms.length > 0 ? "on" : "off"},usb=off,vmport=off,hpet=off`,
    m: slots === 0 ? "1G" : `1G,slots=${slots + 1},maxmem=64G`,
    kernel: join(guest, "vmlinux"),
    initrd: join(folder, "initrd"),
    append: `${COMMAND_LINE} ${commandLine}`,
    serial: `file:${join(folder, "console")}`,
    drive: `${out},format=raw,if=none,id=out,cache=unsafe`,
  };
  const words = Object.entries(named).flatMap(([name, text]) => [`-${name}`, text]);
  const tables = acpiTables.flatMap((path) => ["-acpitable", `file=${value(path)}`]);
  return [...words, ...MACHINE.split(" "), ...devices(options), ...tables];
}

/** Waits for QEMU's end; one that takes too long is killed. */
async function ended(child: ChildProcess, seconds: number): Promise<string> {
  let said = "";
  child.stderr?.on("data", (chunk) => (said += String(chunk)));
  const kill = (): void => void child.kill("SIGKILL");
  process.once("exit", kill);
  const timer = setTimeout(kill, seconds * 1000);
  const status = await new Promise<unknown>((done, fail) => {
    child.once("error", fail);
    child.once("close", (code, signal) => done(code ?? signal));
  });
  clearTimeout(timer);
  process.off("exit", kill);
  return status === 0 ? "" : `QEMU ended with ${String(status)}: ${said}`;
}

/**
 * Boots a guest, runs `jobs/JOB.sh` in it and waits until it is off again; `folder` is empty and
 * stays. A job that ends with another status than 0 is an error that shows its log.
 */
export async function runGuest(
  job: string,
  folder: string,
  options: GuestOptions = {},
): Promise<GuestRun> {
  const guest = builtGuest();
  const out = join(folder, "out");
  fs.mkdirSync(out, { recursive: true });
  writeInitrd(join(folder, "initrd"), guest, job, options);
  fs.writeFileSync(join(folder, "out.tar"), "");
  fs.truncateSync(join(folder, "out.tar"), OUT_BYTES);
  const start = performance.now();
  const child = spawn("qemu-system-x86_64", qemuArguments(guest, folder, options), {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const wrong = await ended(child, options.timeoutSeconds ?? 300);
  const seconds = (performance.now() - start) / 1000;
  const console = fs.readFileSync(join(folder, "console"), "latin1");
  if (!console.includes("guest: done")) {
    throw new Error(`the guest did not report; ${wrong}\n${console.slice(-3000)}`);
  }
  execFileSync("tar", ["-C", out, "--no-same-owner", "-xf", join(folder, "out.tar")]);
  fs.unlinkSync(join(folder, "initrd"));
  fs.unlinkSync(join(folder, "out.tar"));
  const file = (name: string): string => fs.readFileSync(join(out, name), "utf8");
  const log = fs.existsSync(join(out, "log")) ? file("log") : "";
  if (file("status").trim() !== "0") throw new Error(`the job failed:\n${log.slice(-4000)}`);
  return { log, file, seconds };
}
