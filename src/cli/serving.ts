/**
 * What `daxkit nbd` makes of its command line, and how it ends.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { mkdtempSync, renameSync, rmSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { constants } from "node:os";
import type { NbdExport } from "../nbd/export.ts";
import type { NbdListen } from "../node/nbd/addresses.ts";
import type { NbdServer } from "../node/nbd/server.ts";
import type { NbdTlsOptions } from "../node/nbd/tls-settings.ts";
import { typed } from "../node/system-error.ts";
import { type OptionTable, UsageError, type Values } from "./command.ts";

/** Keys and certificates, in nbdkit's words. */
export const TLS_OPTIONS = {
  tls: {
    type: "choice",
    value: "off|on|require",
    choices: ["off", "on", "require"],
    text: "let clients speak TLS, or demand it; on when keys are given",
  },
  "tls-certificates": {
    type: "file",
    value: "DIR",
    text: "take server-cert.pem, server-key.pem and ca-cert.pem from DIR",
  },
  "tls-psk": { type: "file", value: "FILE", text: "take pre-shared keys from FILE" },
  "tls-verify-peer": { type: "flag", text: "demand a certificate of clients, too" },
} as const satisfies OptionTable;

/** @throws UsageError for words that contradict each other */
export function tlsFrom(values: Values<typeof TLS_OPTIONS>): NbdTlsOptions | undefined {
  const { tls, "tls-certificates": certificates, "tls-psk": psk } = values;
  const verifyPeer = values["tls-verify-peer"];
  const keys = certificates ?? psk;
  if (keys === undefined) {
    if (tls !== undefined && tls !== "off") {
      throw new UsageError(`'--tls ${tls}' needs '--tls-certificates DIR' or '--tls-psk FILE'`);
    }
    if (verifyPeer) throw new UsageError("'--tls-verify-peer' needs '--tls-certificates DIR'");
    return undefined;
  }
  if (tls === "off") return undefined;
  return {
    mode: tls === "require" ? "require" : "on",
    ...(certificates === undefined ? {} : { certificates: resolve(certificates) }),
    ...(psk === undefined ? {} : { psk: resolve(psk) }),
    verifyPeer,
  };
}

/** A place for a socket that nobody named; taken away with the folder it is in. */
export function socketOfOurOwn(): { readonly path: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), "daxkit-nbd-"));
  return {
    path: join(folder, "socket"),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/**
 * Writes the number of this process; the file is gone when it has ended well. Whoever waits for the
 * file finds the number in it: it is made beside it, and takes its name when it is whole.
 */
export function writePidFile(path: string): { remove(): void } {
  const there = typed(path, () => statSync(path, { throwIfNoEntry: false }));
  // A pipe, or /dev/null: nothing that could be replaced, and nothing that is ours to take away.
  const ours = there === undefined || there.isFile();
  const whole = ours ? `${path}.${process.pid}` : path;
  typed(path, () => {
    writeFileSync(whole, `${process.pid}\n`);
    if (ours) renameSync(whole, path);
  });
  return {
    remove: () => {
      if (!ours) return;
      try {
        unlinkSync(path);
      } catch {
        // Somebody else took it away: that is what was wanted.
      }
    },
  };
}

/** A program that runs beside the server. */
export interface Beside {
  /** Its exit status; 128 and the number of the signal where one ended it, as shells count. */
  readonly status: Promise<number>;
  /** Asks it to end. */
  stop(): void;
}

/** Runs a line of shell that knows where the server is. */
export function runBeside(line: string, server: NbdServer, name: string): Beside {
  const child = spawn("/bin/sh", ["-c", line], {
    stdio: "inherit",
    env: { ...process.env, ...clientEnvironment(server, name) },
  });
  const status = new Promise<number>((settle, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      settle(signal === null ? (code ?? 0) : 128 + constants.signals[signal]);
    });
  });
  return { status, stop: () => child.kill("SIGTERM") };
}

/** nbdkit's variables. `$nbd` is what old QEMU understands. */
function clientEnvironment(server: NbdServer, name: string): Record<string, string> {
  const [address] = server.addresses;
  const base = { uri: server.uri(name) ?? "", exportname: name };
  if (address === undefined) return base;
  if (address.kind === "unix") {
    return { ...base, unixsocket: address.path, nbd: `nbd:unix:${address.path}`, port: "" };
  }
  const port = String(address.port);
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return { ...base, port, unixsocket: "", nbd: `nbd:${host}:${port}` };
}

/** The words of a command line that say where to listen. */
export interface PlaceWords {
  readonly unix: string | undefined;
  readonly port: number | undefined;
  readonly ipaddr: string | undefined;
}

/** The one place to listen at; `path` is for a socket without a name. @throws UsageError */
export function placeFrom({ unix, port, ipaddr }: PlaceWords, path: () => string): NbdListen {
  if (unix !== undefined) {
    if (port !== undefined || ipaddr !== undefined) {
      throw new UsageError("'--unix' is another place than '--port' and '--ipaddr'; choose one");
    }
    return { path: unix === "-" ? path() : resolve(unix) };
  }
  if (port !== undefined && port > 65_535) throw new UsageError("'--port' is 65535 at most");
  return { port: port ?? 10_809, ...(ipaddr === undefined ? {} : { address: ipaddr }) };
}

/** Sets a new mark for `daxkit:dirty`: nothing is dirty but what is written from now on. */
export function clearMarks(exports: readonly NbdExport[]): void {
  for (const each of exports) each.dirty?.clear();
}

/** What clients write: the default export has no name in its URI, so that every client gets it. */
export function urisOf(
  server: NbdServer,
): { name: string; uri: string; size: number; readOnly: boolean }[] {
  const several = server.exports.list().length > 1;
  return server.exports.list().map(({ name, store }) => ({
    name,
    uri: server.uri(several ? name : "") ?? "",
    size: store.size,
    readOnly: store.readOnly,
  }));
}
