/**
 * A mapper: mapped devices in a process that stays, commands of dmsetup by one socket, the devices
 * themselves over NBD by another. It ends with the last device.
 *
 * @module
 */
import { rmSync } from "node:fs";
import { type Server, type Socket, createServer } from "node:net";
import type { BlockDevice } from "../../block/block-device.ts";
import { describeMapped } from "../../dm/description.ts";
import { numberText } from "../../dm/device-directory.ts";
import { DeviceMapper } from "../../dm/device-mapper.ts";
import { dmsetup } from "../../dm/dmsetup.ts";
import { MappedDevice } from "../../dm/mapped-device.ts";
import { tableText } from "../../dm/reports.ts";
import { isDaxError } from "../../lib/errno.ts";
import { systemEnvironment } from "../environment.ts";
import { checkSocketPath } from "../nbd/addresses.ts";
import { type NbdServer, serveNbd } from "../nbd/server.ts";
import { HostDevices } from "./host-devices.ts";
import { MappedExports } from "./mapped-exports.ts";
import { type MapperLock, lockMapper } from "./mapper-lock.ts";
import {
  type MapperPlaces,
  type RecordedMapping,
  mapperPlaces,
  storeRecord,
} from "./mapper-places.ts";
import { type MapperRequest, onLines, readRequest, say } from "./mapper-talk.ts";

/** Milliseconds in which the first command has to come. */
const PATIENCE = 10_000;
const READ_ONLY: ReadonlySet<string> = new Set(["-r", "--readonly"]);
/** For `Atomics.wait`: nothing ever changes it. */
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/**
 * Starts a mapper; undefined when another one is at that place. `ended` is called at its end.
 * @throws what listening says
 */
export async function startMapper(control: string, ended: () => void): Promise<Mapper | undefined> {
  const places = mapperPlaces(checkSocketPath(control));
  checkSocketPath(places.nbd);
  const lock = lockMapper(places.lock);
  if (lock === undefined) return undefined;
  const mapper = new Mapper(places, lock);
  try {
    await mapper.listen(ended);
    return mapper;
  } catch (error) {
    await mapper.end();
    throw error;
  }
}

/** A running mapper. */
export class Mapper {
  readonly #places: MapperPlaces;
  readonly #lock: MapperLock;
  readonly #hosts = new HostDevices();
  readonly #devices: DeviceMapper;
  readonly #exports: MappedExports;
  readonly #server: Server;
  readonly #clients = new Set<Socket>();
  #nbd: NbdServer | undefined;
  #recorded = "";
  #ending: Promise<void> | undefined;

  constructor(places: MapperPlaces, lock: MapperLock) {
    this.#places = places;
    this.#lock = lock;
    this.#devices = new DeviceMapper({
      devices: this.#hosts,
      environment: systemEnvironment,
      wait: (milliseconds) => void Atomics.wait(sleeper, 0, 0, milliseconds),
    });
    this.#exports = new MappedExports(this.#devices, () => setImmediate(() => this.#settled()));
    this.#server = createServer((socket) => this.#greet(socket));
  }

  /** Begins to serve. Sockets that a killed mapper has left at the places go. */
  async listen(ended: () => void): Promise<void> {
    const { control, nbd } = this.#places;
    for (const path of [control, nbd]) rmSync(path, { force: true });
    this.#nbd = await serveNbd({ exports: this.#exports, listen: { path: nbd } });
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ path: control }, resolve);
    });
    this.#server.once("close", ended);
    setTimeout(() => this.#settled(), PATIENCE).unref();
  }

  /**
   * Hangs up, makes durable what the devices hold, removes them and closes what is below them.
   * Idempotent.
   */
  async end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    this.#exports.end();
    for (const client of this.#clients) client.destroy();
    // It flushes; of an error there, nobody is left who could hear.
    await this.#nbd?.close().catch((error: unknown) => {
      if (!isDaxError(error)) throw error;
    });
    this.#devices.removeAll();
    this.#hosts.sweep();
    rmSync(this.#places.record, { force: true });
    // Closing takes the socket's path away: by then nobody else may have the place.
    this.#server.close();
    this.#lock.release();
  }

  #greet(socket: Socket): void {
    if (this.#ending !== undefined) {
      socket.destroy();
      return;
    }
    this.#clients.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => {
      this.#clients.delete(socket);
      this.#settled();
    });
    say(socket, { mapper: process.pid });
    onLines(socket, (line) => {
      const request = readRequest(line);
      // Something else than our own client.
      if (request === undefined) socket.destroy();
      else this.#serve(request, socket);
    });
  }

  /** A mistake of ours is told to who met it; devices of others go on. */
  #serve(request: MapperRequest, socket: Socket): void {
    try {
      this.#run(request, socket);
    } catch (error) {
      const shown = error instanceof Error ? (error.stack ?? error.message) : String(error);
      const stderr = `this is a bug in daxkit; please report it: ${shown}\n`;
      say(socket, { stdout: "", stderr, status: 1, devices: [] });
      socket.end();
    }
  }

  #run(request: MapperRequest, socket: Socket): void {
    const { words, folder, table } = request;
    this.#hosts.folder = folder;
    this.#hosts.readOnly = words.some((word) => READ_ONLY.has(word));
    const result = dmsetup(this.#devices, words, { read: () => table ?? "" });
    const { waits } = result;
    if (waits !== undefined) {
      const again = waits.watch(() => {
        again();
        setImmediate(() => this.#serve(request, socket));
      });
      socket.once("close", again);
      return;
    }
    this.#hosts.sweep();
    this.#record();
    const devices = this.#devices.devices.map((device) => ({
      ...describeMapped(device),
      uri: this.#nbd?.uri(device.name) ?? "",
    }));
    const { stdout, stderr, status } = result;
    say(socket, { stdout, stderr, status, devices });
    socket.end();
  }

  /** Says which devices there are, for whoever finds this process killed. */
  #record(): void {
    const devices = upwards(this.#devices.devices).map((device): RecordedMapping => {
      const { name, uuid, number, readOnly } = device;
      const text = tableText(device).replaceAll(/\b\d+:\d+\b/gu, (word) => this.#pathOf(word));
      return { name, uuid, minor: number.minor, readOnly, table: text };
    });
    const text = JSON.stringify(devices);
    if (text === this.#recorded) return;
    this.#recorded = text;
    storeRecord(this.#places.record, { pid: process.pid, devices });
  }

  /** How a table names the device of a number so that it is the same one in another mapper. */
  #pathOf(word: string): string {
    const mapped = this.#devices.devices.find(({ number }) => numberText(number) === word);
    const path = mapped === undefined ? this.#hosts.pathOf(word) : `/dev/mapper/${mapped.name}`;
    return path?.replaceAll(/[\s\\]/gu, String.raw`\$&`) ?? word;
  }

  /** Nobody is here any more, and nothing is kept for anybody. */
  #settled(): void {
    if (this.#clients.size > 0 || this.#devices.devices.length > 0) return;
    void this.end();
  }
}

/** The devices in an order in which they can be made: each behind those below it. */
function upwards(
  devices: Iterable<BlockDevice>,
  ordered = new Set<MappedDevice>(),
): MappedDevice[] {
  for (const device of devices) {
    if (!(device instanceof MappedDevice) || ordered.has(device)) continue;
    upwards(device.below, ordered);
    ordered.add(device);
  }
  return [...ordered];
}
