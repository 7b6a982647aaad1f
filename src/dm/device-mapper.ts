/**
 * The device mapper: mapped devices by name, uuid and number, and what is done to them by name. Its
 * calls are those of dmsetup.
 *
 * @module
 */
import { DaxError, type ErrnoCode } from "../lib/errno.ts";
import { type Environment, seededEnvironment } from "../lib/environment.ts";
import {
  DeviceDirectory,
  type DeviceLookup,
  type KnownDevice,
  numberText,
} from "./device-directory.ts";
import { namesOf } from "../block/device-users.ts";
import { isShared } from "../dax/media-failures.ts";
import { isOf } from "./below.ts";
import { MappedPartitions } from "./mapped-partitions.ts";
import { MappedDevice } from "./mapped-device.ts";
import { TARGET_TYPES } from "./target-types.ts";
import { parseTable, type TableLine } from "./words.ts";

/** The first dynamic major that is free in a machine without many drivers. */
export const DM_MAJOR = 253;
/** Bytes of a name and of a uuid, without the zero behind them. */
const [MOST_NAME, MOST_UUID] = [127, 128];
const MOST_MINORS = 1 << 20;

/** What a mapper works with. */
export interface DeviceMapperOptions {
  /** The devices that tables may name, beside the mapper's own. */
  readonly devices?: DeviceLookup;
  /** 253 unless given. */
  readonly major?: number;
  /** Its clock is that of flakey; a seeded one unless given, so that everything is repeatable. */
  readonly environment?: Environment;
  /** Lets milliseconds pass for the target delay. Nothing happens unless given. */
  readonly wait?: (milliseconds: number) => void;
}

/** How a device is created. */
export interface CreateOptions {
  readonly uuid?: string;
  /** The lowest that is free unless given. */
  readonly minor?: number;
  readonly readOnly?: boolean;
  /** `never`: no dax, whatever the legs have. */
  readonly dax?: "auto" | "never";
}

/** How a device is removed. */
export interface RemoveMappedOptions {
  /** A device in use goes when its last user does. */
  readonly deferred?: boolean;
}

/** Mapped devices. */
export class DeviceMapper {
  readonly major: number;
  readonly #options: DeviceMapperOptions;
  readonly #environment: Environment;
  readonly #own: DeviceDirectory;
  readonly #partitions = new MappedPartitions();
  readonly #devices = new Map<string, MappedDevice>();

  constructor(options: DeviceMapperOptions = {}) {
    this.#options = options;
    this.major = options.major ?? DM_MAJOR;
    this.#environment = options.environment ?? seededEnvironment(0);
    this.#own = new DeviceDirectory();
  }

  /** All devices, by number. */
  get devices(): readonly MappedDevice[] {
    return [...this.#devices.values()].toSorted((a, b) => a.number.minor - b.number.minor);
  }

  /** A device by name, or by a uuid that begins with `UUID=`. @throws ENXIO for an unknown one */
  get(word: string): MappedDevice {
    const found = this.find(word);
    if (found !== undefined) return found;
    throw refused("ENXIO", word, `there is no mapped device "${word.slice(0, 200)}"`);
  }

  /** As {@link get}; undefined for an unknown one. */
  find(word: string): MappedDevice | undefined {
    const name = word.startsWith("/dev/mapper/") ? word.slice("/dev/mapper/".length) : word;
    if (!word.startsWith("UUID=")) return this.#devices.get(name);
    const uuid = word.slice("UUID=".length);
    return uuid === "" ? undefined : this.devices.find((device) => device.uuid === uuid);
  }

  /**
   * Makes a device, and with a table starts it; when the table is refused, there is no device.
   * @throws EBUSY for a name, uuid or minor that is taken, EINVAL for one that cannot be, and as
   *   `MappedDevice.load`
   */
  create(
    name: string,
    table?: string | readonly TableLine[],
    options: CreateOptions = {},
  ): MappedDevice {
    const { uuid = "", minor = this.#freeMinor(), readOnly = false, dax = "auto" } = options;
    const lines = typeof table === "string" ? parseTable(table) : table;
    this.#assertFree(name, uuid, minor);
    const number = { major: this.major, minor };
    const device = new MappedDevice({
      name,
      uuid,
      number,
      dax,
      closed: () => this.#removeDeferred(),
      context: {
        devices: { find: (word) => this.lookup(word) },
        all: () => this.#devices.values(),
        types: TARGET_TYPES,
        environment: this.#environment,
        wait: this.#options.wait ?? (() => {}),
      },
    });
    this.#devices.set(name, device);
    this.#publish(device);
    if (lines === undefined) return device;
    try {
      if (lines.length > 0) device.load(lines, readOnly);
      device.resume();
    } catch (error) {
      this.remove(name);
      throw error;
    }
    return device;
  }

  /**
   * Removes a device and both of its tables.
   * @throws ENXIO for an unknown one, EBUSY naming the users unless `deferred`
   */
  remove(word: string, options: RemoveMappedOptions = {}): void {
    const device = this.get(word);
    const { users = 0, holder } = device.dax?.device ?? {};
    if (device.openCount + users > 0 || holder !== undefined) {
      if (options.deferred !== true) {
        const open = `open count ${device.openCount}${whoHas(device)}`;
        const failed = `device-mapper: remove ioctl on ${device.name}: ${open}`;
        throw refused("EBUSY", device.name, `${failed}; remove what stands on it first`);
      }
      device.deferred = true;
      return;
    }
    this.#devices.delete(device.name);
    this.#own.remove(`mapper/${device.name}`);
    device.destroy();
    this.#removeDeferred();
  }

  /**
   * Refuses while somebody other than mapped devices uses one of them: then `removeAll` would leave
   * it, and what it stands on. @throws EBUSY naming the first
   */
  assertIdle(): void {
    const tables = this.devices.flatMap(({ active, inactive }) => [active, inactive]);
    const legs = tables.flatMap((table) => table?.legs ?? []);
    for (const device of this.devices) {
      const above = legs.filter((leg) => isOf(leg.device, device));
      const { users = 0, holder } = device.dax?.device ?? {};
      const held = holder !== undefined && !isShared(holder);
      if (device.openCount === above.length && users === 0 && !held) continue;
      const by = whoHas(device);
      const detail = `open count ${device.openCount}, ${above.length} of them mapped devices${by}`;
      throw refused("EBUSY", device.name, `${detail}; unmount and close it first`);
    }
  }

  /** Removes every device that is not in use, from the top of each stack downwards. */
  removeAll(): void {
    for (let before = -1; before !== this.#devices.size;) {
      before = this.#devices.size;
      for (const device of this.devices.toReversed()) {
        // One whose removal was deferred has gone with the one that stood on it.
        if (this.#devices.get(device.name) !== device) continue;
        if (device.openCount === 0) this.remove(device.name, { deferred: true });
      }
    }
  }

  /** Gives a device another name. @throws ENXIO, EBUSY for a name that is taken, EINVAL */
  rename(word: string, name: string): void {
    const device = this.get(word);
    checkName(name);
    if (this.#devices.has(name)) {
      const from = `Unable to change name on mapped device ${device.name}`;
      const detail = `device-mapper: ioctl: ${from} to one that already exists: ${name}`;
      throw refused("EBUSY", device.name, detail);
    }
    this.#devices.delete(device.name);
    this.#own.remove(`mapper/${device.name}`);
    device.name = name;
    this.#devices.set(name, device);
    this.#publish(device);
    if (device.active !== undefined) device.event();
  }

  /** Gives a uuid to a device that has none. @throws ENXIO, EINVAL, EBUSY for one that is taken */
  setUuid(word: string, uuid: string): void {
    const device = this.get(word);
    checkUuid(uuid);
    const { name } = device;
    const from = `Unable to change uuid of mapped device ${name}`;
    if (uuid === "") {
      const error = "Invalid new mapped device name or uuid string supplied.";
      throw refused("EINVAL", name, `device-mapper: ioctl: ${error}`);
    }
    if (device.uuid !== "") {
      const why = `because uuid is already set to ${device.uuid}`;
      throw refused("EINVAL", name, `device-mapper: ioctl: ${from} to ${uuid} ${why}`);
    }
    if (this.find(`UUID=${uuid}`) !== undefined) {
      const words = `Unable to change uuid on mapped device ${name} to one that already exists`;
      throw refused("EBUSY", name, `device-mapper: ioctl: ${words}: ${uuid}`);
    }
    device.uuid = uuid;
    if (device.active !== undefined) device.event();
  }

  /**
   * A device that a table may name, by path, name or number: of the mapper, of what it was given,
   * or a partition of a mapped device. @throws as `MappedPartitions.find`
   */
  lookup(word: string): KnownDevice | undefined {
    return this.#lookup(word) ?? this.#partitions.find(this.devices, word);
  }

  #lookup(word: string): KnownDevice | undefined {
    const minor = new RegExp(`^(?:${this.major}:|(?:/dev/)?dm-)(\\d+)$`, "u").exec(word)?.[1];
    if (minor === undefined) return this.#own.find(word) ?? this.#options.devices?.find(word);
    return this.#own.find(`${this.major}:${minor}`);
  }

  #publish(device: MappedDevice): void {
    const { name, number } = device;
    this.#own.add(device, { name: `mapper/${name}`, number });
  }

  #removeDeferred(): void {
    for (const device of this.devices) {
      if (device.deferred && this.#devices.get(device.name) === device) {
        this.remove(device.name, { deferred: true });
      }
    }
  }

  #freeMinor(): number {
    const taken = new Set(this.devices.map(({ number }) => number.minor));
    let minor = 0;
    while (taken.has(minor)) minor++;
    return minor;
  }

  #assertFree(name: string, uuid: string, minor: number): void {
    checkName(name);
    checkUuid(uuid);
    const failed = `device-mapper: create ioctl on ${name} failed`;
    if (this.#devices.has(name)) throw refused("EBUSY", name, `${failed}: the name is taken`);
    if (uuid !== "" && this.find(`UUID=${uuid}`) !== undefined) {
      throw refused("EBUSY", name, `${failed}: the uuid ${uuid} is taken`);
    }
    if (!(Number.isInteger(minor) && minor >= 0 && minor < MOST_MINORS)) {
      throw refused("EINVAL", name, `minor ${minor} is none of 0 to ${MOST_MINORS - 1}`);
    }
    const number = numberText({ major: this.major, minor });
    if (this.#own.find(number) !== undefined) {
      throw refused("EBUSY", name, `${failed}: the number ${number} is taken`);
    }
  }
}

/** Who keeps a device in use, for a message. */
function whoHas(device: MappedDevice): string {
  const holder = device.dax?.device.holder;
  const held = holder === undefined || isShared(holder) ? "" : `, held by ${holder.name}`;
  const users = device.users();
  return `${held}${users.length === 0 ? "" : `, in use by ${namesOf(users)}`}`;
}

function checkName(name: string): void {
  if (name === "") {
    const detail = "device-mapper: ioctl: name not supplied when creating device";
    throw refused("EINVAL", name, detail);
  }
  const fits = name.length <= MOST_NAME && !/[/\0]/u.test(name);
  if (fits && ![".", "..", "control"].includes(name)) return;
  const rule = `a name has 1 to ${MOST_NAME} characters, no "/", and is not "control"`;
  throw refused("EINVAL", name.slice(0, 200), `device-mapper: ioctl: invalid device name; ${rule}`);
}

function checkUuid(uuid: string): void {
  if (uuid.length <= MOST_UUID && !uuid.includes("\0")) return;
  throw refused("EINVAL", uuid.slice(0, 200), `a uuid has at most ${MOST_UUID} characters`);
}

function refused(code: ErrnoCode, path: string, detail: string): DaxError {
  return new DaxError(code, { syscall: "dmsetup", path, detail });
}
