/**
 * `daxkit nbd`.
 *
 * @module
 */
import { formatSize } from "../../lib/size.ts";
import type { NbdListen } from "../../node/nbd/addresses.ts";
import type { OpenExport } from "../../node/nbd/open-export.ts";
import type { Recording } from "../../node/nbd/record-export.ts";
import type { NbdServer, NbdServerOptions } from "../../node/nbd/server.ts";
import { type Invocation, STATUS_OK, UsageError, command } from "../command.ts";
import { oneLine } from "../errors.ts";
import { printable } from "../output.ts";
import {
  TLS_OPTIONS,
  clearMarks,
  placeFrom,
  runBeside,
  socketOfOurOwn,
  tlsFrom,
  urisOf,
  writePidFile,
} from "../serving.ts";
import { onMark, waitForOrphanhood, waitForSignal } from "../signals.ts";

const OPTIONS = {
  unix: { type: "file", short: "U", value: "SOCKET", text: "listen at a unix socket; - makes one" },
  port: {
    type: "count",
    short: "p",
    value: "PORT",
    text: "listen at a TCP port; 0 takes a free one",
  },
  ipaddr: {
    type: "text",
    short: "i",
    value: "ADDR",
    text: "listen at this address, not 127.0.0.1",
  },
  readonly: { type: "flag", short: "r", text: "let nobody write" },
  exportname: {
    type: "text",
    short: "e",
    value: "NAME",
    text: "call the image NAME; with several, make the one of that name the default",
  },
  run: { type: "text", value: "CMD", text: "run CMD in a shell that knows $uri, and end with it" },
  stdio: { type: "flag", short: "s", text: "serve the one connection that is standard input" },
  "pid-file": { type: "file", short: "P", value: "FILE", text: "write the process id there" },
  pidfile: { type: "file", value: "FILE", text: "the same, as nbdkit spells it" },
  "exit-with-parent": { type: "flag", text: "end when the process that started this one has" },
  newstyle: { type: "flag", short: "n", text: "speak the newstyle handshake, as it always does" },
  foreground: { type: "flag", short: "f", text: "stay in the foreground, as it always does" },
  threads: {
    type: "count",
    short: "t",
    value: "N",
    text: "give at most N connections a thread of their own; 0 for none",
  },
  workers: { type: "count", value: "N", text: "keep N threads ready" },
  "max-connections": { type: "count", value: "N", text: "serve at most N connections at a time" },
  "handshake-timeout": {
    type: "count",
    value: "SECONDS",
    text: "give up on clients that have chosen no export after this; 10, or 0 for never",
  },
  insecure: { type: "flag", text: "listen beyond this machine without TLS" },
  ...TLS_OPTIONS,
  partition: { type: "count", value: "N", text: "serve partition N of a disk" },
  offset: { type: "size", value: "BYTES", text: "serve what lies from this byte on" },
  record: {
    type: "file",
    value: "LOG",
    text: "record writes, FLUSH, FUA and trims in LOG, as dm-log-writes does, for daxkit replay",
  },
  "record-base": { type: "flag", text: "begin LOG with what the image holds" },
  marks: {
    type: "file",
    value: "SOCKET",
    text: "take marks for LOG from this unix socket, one a line",
  },
  verbose: {
    type: "flag",
    short: "v",
    text: "report clients that break off or break the protocol",
  },
} as const;

type NbdInvocation = Invocation<typeof OPTIONS>;

export const nbd = command({
  name: "nbd",
  summary: "serve images and devices as network block devices",
  description: [
    "Serves files, /dev/pmemN and other block devices to QEMU, the Linux kernel, libnbd's tools " +
      "and everything else that speaks NBD, until SIGINT or SIGTERM ends it cleanly. It listens " +
      "on port 10809 of this machine unless told otherwise, and beyond it only with " +
      "'--tls require' or '--insecure'. Options have nbdkit's letters.",
    "Each image is an export with the base name of its file, and the first is the default one. A " +
      "second server, or any other program that takes daxkit's locks, cannot write to them " +
      "meanwhile.",
    "CMD of '--run' finds $uri, $unixsocket, $port and $nbd in its environment; without '-U' and " +
      "'-p' it gets a unix socket of its own. The exit status is that of CMD. Sockets that " +
      "systemd opened (LISTEN_FDS) are listened at in place of our own.",
    "FLUSH and FUA do what makes the media durable: msync on ordinary files, cache-line " +
      "write-back on DAX file systems, nothing on tmpfs. The meta context 'daxkit:dirty' tells " +
      "what was written since the start, or since the last SIGUSR1.",
    "With '--record' every write, FLUSH, FUA write and trim of its clients goes into LOG, a new " +
      "file or a block device, in the format of dm-log-writes; 'daxkit replay' reads it. Give " +
      "'--record-base' unless the image is empty. What cannot be recorded fails.",
    "On a terminal it prints for people, otherwise JSON lines: 'export' for each, 'listening' " +
      "and 'down'; with '--run', '--stdio' and inherited sockets it prints nothing.",
  ],
  json: "lines",
  operands: [{ name: "IMAGE|DEVICE", text: "what to serve", count: "many" }],
  options: OPTIONS,
  exclusive: [
    ["unix", "port", "stdio"],
    ["stdio", "run"],
    ["pid-file", "pidfile"],
    ["partition", "offset"],
    ["readonly", "record"],
    ["tls-certificates", "tls-psk"],
  ],
  examples: [
    { line: "daxkit nbd -U disk.sock disk.img", text: "serves an image at a unix socket" },
    { line: "daxkit nbd --run 'nbdinfo $uri' disk.img", text: "asks a client about it" },
    { line: "daxkit nbd -r -p 10809 a.img b.img", text: "serves two, to be read" },
    {
      line: "daxkit nbd --record disk.log -U disk.sock disk.img",
      text: "records what a client writes, for daxkit replay",
    },
    { line: "nbdcopy -- [ daxkit nbd disk.img ] copy.img", text: "starts it from libnbd's tools" },
  ],
  statuses: { 1: "with '--run', any status is that of CMD" },
  async run(invocation) {
    const { values, operands, terminal } = invocation;
    const tls = tlsFrom(values);
    const { serveNbd } = await import("../../node/nbd/server.ts");
    const opened = await openAll(invocation);
    const cleanup: (() => void)[] = opened.map((each) => () => each.close());
    const recording = await startRecording(invocation, opened).catch((error: unknown) => {
      for (const each of cleanup) each();
      throw error;
    });
    try {
      const { listen, silent } = await placesOf(invocation, cleanup);
      const server = await serveNbd({
        ...settingsOf(values, operands.length),
        exports: recording?.exports ?? opened.map((each) => each.export),
        listen,
        ...(tls === undefined ? {} : { tls }),
        onFault: (fault) => {
          if (values.verbose) terminal.message(oneLine(fault), "warning");
        },
      });
      try {
        return await stay(server, silent, invocation);
      } finally {
        await server.close();
      }
    } finally {
      await recording?.close();
      for (const each of cleanup.toReversed()) each();
    }
  },
});

async function openAll({ values, operands }: NbdInvocation): Promise<OpenExport[]> {
  const { readonly, partition, offset, exportname } = values;
  const { openExport } = await import("../../node/nbd/open-export.ts");
  const opened: OpenExport[] = [];
  try {
    for (const path of operands) {
      const options = {
        readOnly: readonly,
        ...(partition === undefined ? {} : { partition }),
        ...(offset === undefined ? {} : { offset }),
        ...(operands.length > 1 || exportname === undefined ? {} : { name: exportname }),
      };
      opened.push(openExport(path, options));
    }
    return opened;
  } catch (error) {
    for (const each of opened) each.close();
    throw error;
  }
}

/** Puts a recorder between the clients and the image. */
async function startRecording(
  { values, operands }: NbdInvocation,
  opened: readonly OpenExport[],
): Promise<Recording | undefined> {
  const { record, marks } = values;
  if (record === undefined) {
    if (values["record-base"]) throw new UsageError("'--record-base' needs '--record LOG'");
    if (marks !== undefined) throw new UsageError("'--marks' needs '--record LOG'");
    return undefined;
  }
  const [only] = opened;
  if (only === undefined || operands.length > 1) {
    throw new UsageError("'--record' is for one image; start a server for each");
  }
  const { recordExport } = await import("../../node/nbd/record-export.ts");
  return await recordExport(only.export, record, { base: values["record-base"], marks });
}

function settingsOf(
  values: NbdInvocation["values"],
  images: number,
): Pick<
  NbdServerOptions,
  "insecure" | "engine" | "handshakeMs" | "maxConnections" | "defaultExport"
> {
  const { threads, workers, insecure, exportname } = values;
  const seconds = values["handshake-timeout"];
  const most = values["max-connections"];
  if (most === 0) throw new UsageError("'--max-connections 0' would serve nobody");
  return {
    insecure,
    engine: {
      ...(threads === undefined ? {} : { threads }),
      ...(workers === undefined ? {} : { warm: workers }),
    },
    ...(seconds === undefined ? {} : { handshakeMs: Math.min(seconds * 1000, 2 ** 31 - 1) }),
    ...(most === undefined ? {} : { maxConnections: most }),
    ...(images > 1 && exportname !== undefined ? { defaultExport: exportname } : {}),
  };
}

interface Places {
  readonly listen: readonly NbdListen[];
  /** Standard output may be somebody else's: it stays silent. */
  readonly silent: boolean;
}

async function placesOf({ values }: NbdInvocation, cleanup: (() => void)[]): Promise<Places> {
  const { unix, port, ipaddr, run, stdio } = values;
  const named = unix !== undefined || port !== undefined || ipaddr !== undefined;
  if (stdio) {
    if (named) throw new UsageError("with '--stdio' it listens nowhere; leave '--ipaddr' out");
    return { listen: [], silent: true };
  }
  const { inheritedSockets } = await import("../../node/nbd/socket-activation.ts");
  const inherited = inheritedSockets();
  if (inherited.length > 0) {
    if (named) throw new UsageError("sockets were handed over; leave '-U', '-p' and '-i' out");
    return { listen: inherited.map((fd) => ({ fd })), silent: true };
  }
  const place = { unix: unix ?? (run === undefined || named ? undefined : "-"), port, ipaddr };
  const at = placeFrom(place, () => {
    const made = socketOfOurOwn();
    cleanup.push(() => made.remove());
    return made.path;
  });
  return { listen: [at], silent: run !== undefined };
}

/** Serves, and answers with the exit status when it is over. */
async function stay(
  server: NbdServer,
  silent: boolean,
  invocation: NbdInvocation,
): Promise<number> {
  const { values, out } = invocation;
  const wait = waitForSignal();
  const parent = values["exit-with-parent"] ? waitForOrphanhood() : undefined;
  const pidPath = values["pid-file"] ?? values.pidfile;
  const pidFile = pidPath === undefined ? undefined : writePidFile(pidPath);
  const noMark = onMark(() => clearMarks(server.exports.list()));
  const ended = Promise.race([wait.signal, parent?.gone ?? new Promise<never>(() => {})]);
  try {
    if (values.stdio) return await serveStandardInput(server, ended);
    if (values.run !== undefined) return await serveCommand(server, values, values.run, ended);
    if (!silent) show(server, invocation);
    const why = await ended;
    await server.close();
    if (!silent) sayGoodbye(why, invocation);
    return STATUS_OK;
  } finally {
    noMark();
    wait.cancel();
    parent?.cancel();
    pidFile?.remove();
    out.flush();
  }
}

async function serveStandardInput(server: NbdServer, ended: Promise<string>): Promise<number> {
  await Promise.race([server.serveDescriptor(0), ended]);
  return STATUS_OK;
}

async function serveCommand(
  server: NbdServer,
  { exportname = "" }: NbdInvocation["values"],
  line: string,
  ended: Promise<string>,
): Promise<number> {
  const beside = runBeside(line, server, exportname);
  const first = await Promise.race([beside.status, ended]);
  if (typeof first === "number") return first;
  beside.stop();
  return beside.status;
}

function show(server: NbdServer, { json, out, terminal }: NbdInvocation): void {
  if (json || !out.isTerminal) {
    for (const each of urisOf(server)) out.json({ event: "export", ...each });
    out.json({ event: "listening", addresses: server.addresses, pid: process.pid });
  } else {
    for (const { name, uri, size, readOnly } of urisOf(server)) {
      const label = terminal.style("name", printable(name));
      out.line(`${label}  ${formatSize(size)}${readOnly ? ", read-only" : ""}`);
      out.line(`  ${uri}`);
    }
    out.line("serving; Ctrl-C ends it");
  }
  out.flush();
}

function sayGoodbye(signal: string, { json, out }: NbdInvocation): void {
  if (json || !out.isTerminal) out.json({ event: "down", signal });
  else out.line(`\nended by ${signal}`);
}
