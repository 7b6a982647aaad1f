/** Tables, messages and commands at random: refused in words, and nothing stays open. */
import { expect, test } from "vitest";
import { dmsetup } from "../../src/dm/dmsetup.ts";
import { TARGET_TYPES } from "../../src/dm/target-types.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { pmemOf } from "../support/block-devices.ts";
import { noise } from "../support/bytes.ts";
import { mapperOver, ramDisk, type Mapped } from "../support/mapped.ts";

const TARGETS = [...TARGET_TYPES.keys(), "nonsense"];
const DEVICES = ["a", "b", "/dev/a", "254:16", "p", "junk", "/dev/mapper/x", "253:0", "none"];
const NUMBERS = [
  "0",
  "1",
  "2",
  "3",
  "8",
  "16",
  "64",
  "128",
  "512",
  "4096",
  "-1",
  "x",
  "99999999999999999999",
];
const WORDS = split(`core disk sync nosync handle_errors keep_log P PO N s p drop_writes r w
  error_writes error_reads corrupt_bio_byte random_read_corrupt discard_zeroes_cow start_sector
  high_watermark low_watermark cleaner autocommit_blocks metadata_only \\ mark addbadblock
  queryblock enable flush`);
const VERBS = split(`create create create create create create load load resume resume suspend
  clear remove table status info deps ls rename message targets`);

function split(text: string): string[] {
  return text.split(/\s+/u);
}

function word(prng: Prng): string {
  const list = [DEVICES, NUMBERS, NUMBERS, WORDS][prng.below(4)]!;
  return list[prng.below(list.length)]!;
}

/** Arguments that are nearly right, so that what lies behind the first checks is reached. */
function nearly(target: string, prng: Prng): string {
  const leg = (): string => ["a", "b", "p", "junk"][prng.below(4)]!;
  const number = (): string => NUMBERS[prng.below(9)]!;
  const shapes: Readonly<Record<string, string>> = {
    linear: `${leg()} ${number()}`,
    striped: `2 ${number()} ${leg()} 0 ${leg()} ${number()}`,
    delay: `${leg()} ${number()} 0`,
    flakey: `${leg()} 0 ${number()} 1 1 drop_writes`,
    dust: `${leg()} 0 512`,
    "log-writes": `${leg()} ${leg()}`,
    mirror: `core 1 ${number()} 2 ${leg()} 0 ${leg()} ${number()}`,
    snapshot: `${leg()} ${leg()} P ${number()}`,
    "snapshot-merge": `${leg()} ${leg()} P 8`,
    "snapshot-origin": leg(),
    writecache: `s ${leg()} ${leg()} ${number()} 0`,
  };
  return shapes[target] ?? "";
}

function line(prng: Prng, start: number): string {
  const target = TARGETS[prng.below(TARGETS.length)]!;
  const length = ["8", "16", "64", "0", "100"][prng.below(5)]!;
  const at = prng.below(10) === 0 ? NUMBERS[prng.below(NUMBERS.length)]! : String(start);
  const words = Array.from({ length: prng.below(9) }, () => word(prng)).join(" ");
  return `${at} ${length} ${target} ${prng.below(3) === 0 ? words : nearly(target, prng)}`;
}

function machine(prng: Prng): Mapped {
  const junk = new RamDisk({ name: "junk", bytes: noise(prng.below(1000), 1 << 17) });
  const disks = { a: ramDisk("a", 256), b: ramDisk("b", 256), p: pmemOf(1 << 17).pmem.disk, junk };
  return mapperOver(disks);
}

function use({ mapper }: Mapped, prng: Prng): void {
  for (const device of mapper.devices) {
    const requests: readonly (() => void)[] = [
      () => device.read(prng.below(70), new Uint8Array(512 * prng.below(20))),
      () => device.write(prng.below(70), noise(prng.below(100), 512 * prng.below(20))),
      () => device.discard(prng.below(70), prng.below(20)),
      () => device.writeZeroes(prng.below(70), prng.below(20)),
      () => device.flush(),
      () => device.writeBytes(prng.below(9000), new Uint8Array(prng.below(900))),
      () => void device.dax?.device.directAccess(prng.below(4), prng.below(4)),
    ];
    try {
      requests[prng.below(requests.length)]!();
    } catch (error) {
      if (!isDaxError(error)) throw error;
    }
  }
}

test("[X7] commands at random", () => {
  let made = 0;
  for (let seed = 0; seed < 250; seed++) {
    const prng = new Prng(seed);
    const box = machine(prng);
    for (let round = 0; round < 25; round++) {
      const verb = VERBS[prng.below(VERBS.length)]!;
      const name = ["x", "y", "z"][prng.below(3)]!;
      const lines = Array.from({ length: 1 + prng.below(2) }, (_, i) => line(prng, 64 * i));
      const words = [verb, name];
      if (verb === "create" || verb === "load") words.push("--table", lines.join("\n"));
      if (verb === "rename") words.push(["x", "y", "z", "a/b", ""][prng.below(5)]!);
      if (verb === "message") words.push(NUMBERS[prng.below(5)]!, word(prng), word(prng));
      const { status, stdout } = dmsetup(box.mapper, words);
      if (verb === "create" && status === 0) made++;
      expect(typeof stdout).toBe("string");
      use(box, prng);
    }
    box.mapper.removeAll();
    expect([seed, box.mapper.devices.map(({ openCount }) => openCount)]).toEqual([seed, []]);
  }
  expect(made).toBeGreaterThan(150);
});
