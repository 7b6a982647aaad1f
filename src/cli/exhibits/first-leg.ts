/**
 * Whether a flush must reach every device that a stacked device has its bytes on.
 *
 * @module
 */
import { type Findings, explore } from "../../crash/explorer.ts";
import { type DaxProfile, daxAsIn } from "../../dax/profiles.ts";
import type { DaxDevice } from "../../dax/dax-device.ts";
import { DeviceDirectory } from "../../dm/device-directory.ts";
import { DeviceMapper } from "../../dm/device-mapper.ts";
import { assert } from "../../lib/errno.ts";
import { ModelledMedia } from "../../media/modelled.ts";
import { pmemOver, timed } from "./parts.ts";
import type { Acted, Exhibit } from "./exhibit.ts";

/** Of each leg: two chunks of a page. */
const LEG = 2 * 4096;
/** The last atom of the first chunk, the first of the second: one on each leg. */
const RECORD = 4096 - 8;

export const firstLeg: Exhibit = {
  name: "first-leg",
  question: "May device-mapper flush the first leg only?",
  argued: [
    "Linux 4.13's dm sent a flush to the device of its first byte, though a range may span many.",
    "It was hard to see: on x86 a flush by address reaches any leg, so no test failed.",
  ],
  settled:
    "The operation stays, and is routed to the device that translated each address. The explorer " +
    "finds the old behaviour at once: one store on the second leg is lost.",
  run: acted,
};

function acted(): Acted {
  const [old, milliseconds] = timed(() => cutIn("v4.13"));
  const later = cutIn("v4.14");
  const now = cutIn("modern");
  const lost = old.failure;
  const line = [...(lost?.cuts[0]?.old.keys() ?? [])][0] ?? -1;
  const leg = line * 64 < LEG ? "first" : "second";
  return {
    scene: [
      "two pmem devices, striped in chunks of a page",
      `a record of 16 bytes at byte ${RECORD}: 8 on the first leg, 8 on the second`,
      "one flush of the 16 bytes, one fence, one promise",
      `counter-example: line ${(line * 64 - LEG) / 64} of the ${leg} leg has not arrived`,
    ],
    figures: [
      { what: "as Linux 4.13 flushes: lost", counted: loses(old), expected: "a record" },
      { what: "stores in the counter-example", counted: lost?.lostLines ?? 0, expected: 1 },
      { what: "the leg that lacks it", counted: leg, expected: "second" },
      { what: "as Linux 4.14 flushes: lost", counted: loses(later), expected: "nothing" },
      { what: "routed to every leg: lost", counted: loses(now), expected: "nothing" },
    ],
    measured: [{ what: "found in", milliseconds }],
  };
}

/** Two legs one behind the other in one memory, and a stripe over them. */
function stripedOn(media: ModelledMedia): DaxDevice {
  const devices = new DeviceDirectory();
  for (const [index, name] of ["pmem0", "pmem1"].entries()) {
    const { disk } = pmemOver(media, { name, start: index * LEG, length: LEG });
    devices.add(disk, { name, number: { major: 259, minor: index } });
  }
  const table = `0 ${(2 * LEG) / 512} striped 2 8 pmem0 0 pmem1 0`;
  const { dax } = new DeviceMapper({ devices }).create("striped", table);
  assert(dax !== undefined, "a stripe over pmem has dax");
  return dax.device;
}

function loses({ failure }: Findings): string {
  return failure === undefined ? "nothing" : "a record";
}

function cutIn(profile: DaxProfile): Findings {
  const media = new ModelledMedia(2 * LEG);
  const dax = daxAsIn(profile, stripedOn(media));
  store(dax, RECORD, 1n);
  store(dax, RECORD + 8, 1n);
  dax.flush(0, RECORD, 16);
  dax.fence();
  media.ack("record");
  return explore({
    initial: new Uint8Array(2 * LEG),
    modelled: {},
    trace: media.trace,
    torn: "line",
    depth: 1,
    budget: { leaves: 1000, steps: 100_000 },
    program: {
      check: (found, acked) => {
        if (acked.length === 0) return true;
        const seen = stripedOn(found);
        return load(seen, RECORD) === 1n && load(seen, RECORD + 8) === 1n;
      },
    },
  });
}

function store(dax: DaxDevice, at: number, value: bigint): void {
  const { memory, start } = dax.directAccess(Math.floor(at / 4096), 1);
  memory.setBigUint64(start + (at % 4096), value);
}

function load(dax: DaxDevice, at: number): bigint {
  const { memory, start } = dax.directAccess(Math.floor(at / 4096), 1);
  return memory.getBigUint64(start + (at % 4096));
}
