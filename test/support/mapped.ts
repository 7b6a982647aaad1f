/** Mapped devices for tests: a mapper over disks of RAM, of pmem or of anything else. */
import type { BlockDevice } from "../../src/block/block-device.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { DeviceDirectory } from "../../src/dm/device-directory.ts";
import { DeviceMapper, type DeviceMapperOptions } from "../../src/dm/device-mapper.ts";
import type { MappedDevice } from "../../src/dm/mapped-device.ts";

/** A mapper and the disks that it knows: vdb is 254:16, vdc 254:32, as virtio's. */
export interface Mapped {
  readonly mapper: DeviceMapper;
  readonly devices: DeviceDirectory;
}

/** A mapper over the given disks, by name. */
export function mapperOver(
  disks: Readonly<Record<string, BlockDevice>>,
  options: Omit<DeviceMapperOptions, "devices"> = {},
): Mapped {
  const devices = new DeviceDirectory();
  for (const [index, [name, device]] of Object.entries(disks).entries()) {
    devices.add(device, { name, number: { major: 254, minor: 16 * (index + 1) } });
  }
  return { mapper: new DeviceMapper({ ...options, devices }), devices };
}

/** A disk of RAM. */
export function ramDisk(name: string, sectors: number): RamDisk {
  return new RamDisk({ name, bytes: new Uint8Array(sectors * 512) });
}

/** One device by a table over the given disks. */
export function mappedOf(
  table: string,
  disks: Readonly<Record<string, BlockDevice>>,
): MappedDevice {
  return mapperOver(disks).mapper.create("mapped", table);
}
