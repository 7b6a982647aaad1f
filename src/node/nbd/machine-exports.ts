/**
 * The exports that a machine's description names, served.
 *
 * @module
 */
import { resolve } from "node:path";
import { type DaxError, isDaxError } from "../../lib/errno.ts";
import type { ExportDescription, NbdDescription } from "../../machine/exports.ts";
import type { Machine } from "../../machine/machine.ts";
import { BlockStore } from "../../nbd/block-store.ts";
import { DirtyMap } from "../../nbd/dirty-map.ts";
import type { ExportDirectory, NbdExport } from "../../nbd/export.ts";
import { MappedDevice } from "../../dm/mapped-device.ts";
import { ResumeGate } from "../dm/mapped-exports.ts";
import type { NbdListen } from "./addresses.ts";
import { ExportList } from "./export-list.ts";
import { type NbdServer, serveNbd } from "./server.ts";
import type { NbdTlsOptions } from "./tls-settings.ts";

/** How a machine is served. */
export interface ServeMachineOptions {
  /** Where relative paths of sockets and keys start; the current folder unless given. */
  readonly folder?: string;
  /** As `onFault` of {@link serveNbd}. */
  readonly onFault?: (fault: DaxError) => void;
}

/** A machine that is served. */
export interface ServedMachine {
  /** Undefined when no device that was named is there. */
  readonly server: NbdServer | undefined;
  /** Exports whose device is not there. */
  readonly refused: readonly { readonly name: string; readonly error: DaxError }[];
}

interface DeviceExport {
  readonly device: string;
  readonly served: NbdExport;
}

/**
 * Serves the devices that the machine's `exports` name, at the places of its `nbd`. Every request
 * of a client is one to the device: its drivers, faults and recorders see each. Close the server
 * before the machine is shut down.
 * @throws as {@link serveNbd}
 */
export async function serveMachine(
  machine: Machine,
  options: ServeMachineOptions = {},
): Promise<ServedMachine> {
  const { exports: named = [], nbd } = machine.description;
  const { folder = ".", onFault } = options;
  const refused: { name: string; error: DaxError }[] = [];
  const found: DeviceExport[] = [];
  for (const each of named) {
    try {
      found.push({ device: each.device, served: exportOf(machine, each) });
    } catch (error) {
      if (!isDaxError(error)) throw error;
      refused.push({ name: each.name, error });
    }
  }
  const exports = withMaps(found);
  if (nbd === undefined || exports.length === 0) return { server: undefined, refused };
  const tls = tlsOf(nbd, folder);
  const server = await serveNbd({
    exports: new PresentExports(exports, machine),
    listen: placesOf(nbd, folder),
    insecure: nbd.insecure,
    ...(tls === undefined ? {} : { tls }),
    ...(onFault === undefined ? {} : { onFault }),
  });
  return { server, refused };
}

function exportOf(machine: Machine, described: ExportDescription): NbdExport {
  const { device, name, description, readOnly } = described;
  const disk = machine.disk(device);
  const store = new BlockStore(disk, { readOnly });
  const client = { name: `an NBD client of export ${JSON.stringify(name)}`, use: "open" } as const;
  const closes: (() => void)[] = [];
  return {
    name,
    ...(description === undefined ? {} : { description }),
    store,
    onAttach: () => void closes.push(disk.hold?.({ ...client }) ?? (() => {})),
    onDetach: () => closes.pop()?.(),
    ...(disk instanceof MappedDevice ? { gate: new ResumeGate(disk) } : {}),
  };
}

/** Exports of mapped devices are there as long as these are. */
class PresentExports implements ExportDirectory {
  readonly #exports: ExportList;
  readonly #machine: Machine;

  constructor(exports: readonly NbdExport[], machine: Machine) {
    this.#exports = new ExportList(exports);
    this.#machine = machine;
  }

  /** What is listed can be flushed: no device that is suspended. */
  list(): readonly NbdExport[] {
    return this.#exports.list().filter((each) => each.gate?.open !== false && this.#has(each));
  }

  find(name: string): NbdExport | undefined {
    const found = this.#exports.find(name);
    return found !== undefined && this.#has(found) ? found : undefined;
  }

  #has({ gate }: NbdExport): boolean {
    return !(gate instanceof ResumeGate) || this.#machine.mapper.devices.includes(gate.device);
  }
}

/**
 * Gives every export of a disk that can be written the same map: a backup through a read-only
 * export learns what was written through another. A partition and its disk have one each.
 */
function withMaps(exports: readonly DeviceExport[]): NbdExport[] {
  const maps = new Map<string, DirtyMap>();
  for (const { device, served } of exports) {
    const { readOnly, size } = served.store;
    if (!readOnly && !maps.has(device)) maps.set(device, new DirtyMap(size));
  }
  return exports.map(({ device, served }) => {
    const dirty = maps.get(device);
    return dirty === undefined ? served : { ...served, dirty };
  });
}

function placesOf({ socket, port, address }: NbdDescription, folder: string): NbdListen[] {
  const tcp = address === undefined ? {} : { address };
  return [
    ...(socket === undefined ? [] : [{ path: resolve(folder, socket) }]),
    ...(port === undefined ? [] : [{ port, ...tcp }]),
  ];
}

function tlsOf(nbd: NbdDescription, folder: string): NbdTlsOptions | undefined {
  const { tls, tlsCertificates, tlsPsk, tlsVerifyPeer } = nbd;
  if (tls === "off") return undefined;
  return {
    mode: tls,
    ...(tlsCertificates === undefined ? {} : { certificates: resolve(folder, tlsCertificates) }),
    ...(tlsPsk === undefined ? {} : { psk: resolve(folder, tlsPsk) }),
    verifyPeer: tlsVerifyPeer,
  };
}
