/**
 * `daxkit mount`.
 *
 * @module
 */
import { resolve } from "node:path";
import { type Invocation, STATUS_FAILED, STATUS_OK, UsageError, command } from "../command.ts";
import { readMountOptions } from "../mount-options.ts";
import type { MountPlan } from "../mount-serve.ts";
import { sourceOf } from "../mount-source.ts";
import { printable } from "../output.ts";
import { OwnerNumbers } from "../owners.ts";
import { TRACE_OPTION } from "../tracing.ts";

const OPTIONS = {
  options: {
    type: "text",
    short: "o",
    value: "OPTIONS",
    many: true,
    text: "mount with these, separated by commas; see docs/mount.md",
  },
  "read-only": { type: "flag", short: "r", text: "mount for reading, as '-o ro'" },
  background: { type: "flag", short: "b", text: "return as soon as it is mounted" },
  nbd: { type: "file", value: "SOCKET", text: "serve it read-only over NBD at a socket, too" },
  log: { type: "file", value: "FILE", text: "with '--background': write what goes wrong there" },
  ...TRACE_OPTION,
  verbose: { type: "flag", short: "v", text: "say which options change nothing" },
} as const;

type MountInvocation = Invocation<typeof OPTIONS>;

export const mount = command({
  name: "mount",
  summary: "make an image or device a directory, or list what is mounted",
  description: [
    "Mounts the ext2, ext3 or ext4 filesystem in a file, a block device or an NBD export on DIR, " +
      "without the kernel's driver for it: every program can use it, through FUSE. Root mounts " +
      "for all users, others through fusermount3 and for themselves.",
    "It stays in the foreground until it is unmounted, or SIGINT (Ctrl-C), SIGTERM or SIGHUP " +
      "unmounts it. Where it is in use then, that waits; a second signal does not wait, and who " +
      "uses it gets errors. With '--background' it returns when it is mounted; errors go to the " +
      "system's log then, or to '--log'.",
    "OPTIONS are those of mount(8), ext4(5) and fuse(8) that mean something here: ro, noatime, " +
      "relatime, dax=, commit=, errors=, data=, allow_other, uid=, gid=, umask=, noexec, nodev, " +
      "nosuid, partition=, offset=, writeback_cache and others. An unknown one is an error that " +
      "names them all. mount.fuse.daxkit(8) does the same for mount(8) and /etc/fstab.",
    "A killed process leaves what a power cut would: all that was fsynced, and a journal that " +
      "the next mount replays. Without IMAGE and DIR it lists daxkit's mounts.",
  ],
  json: "lines",
  operands: [{ name: "IMAGE|DEVICE DIR", text: "what to mount, and where", count: "any" }],
  options: OPTIONS,
  exclusive: [],
  examples: [
    { line: "daxkit mount disk.img /mnt", text: "mounts until Ctrl-C" },
    { line: "daxkit mount -b -o ro,partition=1 disk.img /mnt", text: "returns when it is mounted" },
    { line: "daxkit mount -b --nbd s.sock disk.img /mnt", text: "lets others copy it meanwhile" },
    { line: "daxkit mount", text: "lists mounts" },
  ],
  async run(invocation) {
    const { operands, values } = invocation;
    const [source, directory, extra] = operands;
    if (source === undefined) return list(invocation);
    if (directory === undefined) throw new UsageError(`the directory for '${source}' is missing`);
    if (extra !== undefined) throw new UsageError(`'${extra}' is one operand too many`);
    if (values.log !== undefined && !values.background) {
      throw new UsageError("'--log' needs '--background'; errors are shown here otherwise");
    }
    const plan = planFor(source, directory, invocation);
    return values.background ? inBackground(plan, invocation) : inForeground(plan, invocation);
  },
});

function planFor(source: string, directory: string, { values, terminal }: MountInvocation) {
  const lists = values["read-only"] ? [...values.options, "ro"] : values.options;
  const { settings, ignored } = readMountOptions(lists, { owners: new OwnerNumbers() });
  if (settings.remount) {
    throw new UsageError("a mount is changed by mount(8): mount -i -o remount,ro DIR");
  }
  if (values.verbose && ignored.length > 0) {
    terminal.message(`without effect: ${ignored.join(", ")}`, "warning");
  }
  const nbd = values.nbd === undefined ? undefined : resolve(values.nbd);
  const trace = values.trace === undefined ? undefined : resolve(values.trace);
  return { source: sourceOf(source), directory: resolve(directory), settings, nbd, trace };
}

async function inForeground(plan: MountPlan, invocation: MountInvocation): Promise<number> {
  const { terminal } = invocation;
  const { serveMount } = await import("../mount-serve.ts");
  let mounted = plan.directory;
  await serveMount(plan, {
    onMounted: ({ directory }) => {
      mounted = directory;
      show(plan, directory, process.pid, invocation);
    },
    complain: (text) => terminal.message(text, "warning"),
  });
  if (invocation.json) invocation.out.json({ event: "unmounted", directory: mounted });
  return STATUS_OK;
}

async function inBackground(plan: MountPlan, invocation: MountInvocation): Promise<number> {
  const { log } = invocation.values;
  const { mountInBackground } = await import("../mount-background.ts");
  const report = await mountInBackground({
    ...plan,
    log: log === undefined ? undefined : resolve(log),
  });
  if (!report.mounted) {
    invocation.terminal.message(report.text);
    return STATUS_FAILED;
  }
  const { verbose } = invocation.values;
  if (verbose || invocation.json) show(plan, report.directory, report.pid, invocation);
  return STATUS_OK;
}

function show({ source }: MountPlan, directory: string, pid: number, at: MountInvocation): void {
  const { out, json } = at;
  if (json) {
    out.json({ event: "mounted", source, directory, pid });
  } else {
    const end = out.isTerminal && pid === process.pid ? "; Ctrl-C unmounts it" : "";
    out.line(`${printable(source)} mounted on ${printable(directory)}${end}`);
  }
  out.flush();
}

async function list({ out, json, values }: MountInvocation): Promise<number> {
  if (values.background || values["read-only"] || values.options.length > 0) {
    throw new UsageError("IMAGE and DIR are missing");
  }
  const { findMounts } = await import("../unmounting.ts");
  for (const { entry, record } of await findMounts()) {
    const { source, mountPoint: directory, type, options } = entry;
    if (json) out.json({ source, directory, type, options, pid: record?.pid ?? null });
    else out.line(`${printable(source)} on ${printable(directory)} type ${type} (${options})`);
  }
  return STATUS_OK;
}
