/**
 * A mapper: mapped devices in a process that stays, commands of dmsetup by one socket, the devices
 * themselves over NBD by another. It ends with the last device.
 *
 * @module
 */
import { rmSync } from "node:fs";
import type { BlockDevice } from "../../block/block-device.ts";
import { numberText } from "../../dm/device-directory.ts";
import { DeviceMapper } from "../../dm/device-mapper.ts";
import { givenBy } from "../../dm/dmsetup-options.ts";
import { MappedDevice } from "../../dm/mapped-device.ts";
import { tableText } from "../../dm/reports.ts";
import { isDaxError } from "../../lib/errno.ts";
import { systemEnvironment } from "../environment.ts";
import { checkSocketPath } from "../nbd/addresses.ts";
import { type NbdServer, serveNbd } from "../nbd/server.ts";
import { HostDevices } from "./host-devices.ts";
import { MappedExports } from "./mapped-exports.ts";
import { MapperControl } from "./mapper-control.ts";
import { type MapperLock, lockMapper } from "./mapper-lock.ts";
import {
  type MapperPlaces,
  type RecordedMapping,
  clearSocket,
  mapperPlaces,
  storeRecord,
} from "./mapper-places.ts";

/** Milliseconds in which the first command has to come. */
const PATIENCE = 10_000;
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
  readonly #control: MapperControl;
  #nbd: NbdServer | undefined;
  #recorded = "";
  #ended: () => void = () => {};
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
    this.#control = new MapperControl({
      mapper: this.#devices,
      uri: (device) => this.#nbd?.uri(device) ?? "",
      begins: ({ words, folder }) => {
        this.#hosts.folder = folder;
        this.#hosts.readOnly = givenBy(words)?.flags.has("readonly") === true;
      },
      ended: () => {
        this.#hosts.sweep();
        this.#record();
      },
      left: () => this.#settled(),
    });
  }

  /** Begins to serve. Sockets that a killed mapper has left at the places go. */
  async listen(ended: () => void): Promise<void> {
    const { control, nbd } = this.#places;
    for (const path of [control, nbd]) clearSocket(path);
    this.#nbd = await serveNbd({ exports: this.#exports, listen: { path: nbd } });
    await this.#control.listen(control);
    this.#ended = ended;
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
    this.#control.hangUp();
    // It flushes; of an error there, nobody is left who could hear.
    await this.#nbd?.close().catch((error: unknown) => {
      if (!isDaxError(error)) throw error;
    });
    this.#devices.removeAll();
    this.#hosts.sweep();
    rmSync(this.#places.record, { force: true });
    // Closing takes the socket's path away: by then nobody else may have the place.
    this.#control.close(this.#ended);
    this.#lock.release();
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
    if (this.#control.clients > 0 || this.#devices.devices.length > 0) return;
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
