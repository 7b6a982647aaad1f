/** A file that is a leg of a mapped device is cut, and grows again. Argument: its path. */
import { truncateSync, writeFileSync } from "node:fs";
import { DeviceMapper } from "../../../src/dm/device-mapper.ts";
import { parseTable } from "../../../src/dm/words.ts";
import { HostDevices } from "../../../src/node/dm/host-devices.ts";
import { answer, outcome } from "./answer.ts";

const SIZE = 16 << 20;
const [path = ""] = process.argv.slice(2);
writeFileSync(path, "");
truncateSync(path, SIZE);
const devices = new HostDevices();
const mapper = new DeviceMapper({ devices });
const table = `0 32768 linear ${path} 0`;
const device = mapper.create("x", table);
const page = new Uint8Array(4096);
const at = (byte: number) => byte / 512;
const read = (byte: number) => outcome(() => device.read(at(byte), page));

device.write(at(8 << 20), page.fill(5));
device.write(0, page.fill(6));
truncateSync(path, 1 << 20);
const cut = [read(8 << 20), read(0), read((2 << 20) + 4096)];
const load = outcome(() => device.load(parseTable(table)));
const small = outcome(() => device.load(parseTable(`0 2048 linear ${path} 0`)));
device.clear();
truncateSync(path, 9 << 20);
const partly = [read(8 << 20), page[0], read(10 << 20)];
truncateSync(path, SIZE);
const whole = [read(10 << 20), read((2 << 20) + 4096), outcome(() => device.flush())];
device.write(at(8 << 20), page.fill(7));
page.fill(0);
const again = [read(8 << 20), page[0], outcome(() => device.load(parseTable(table)))];
mapper.removeAll();
devices.sweep();
answer({ cut, load, small, partly, whole, again });
