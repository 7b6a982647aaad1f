/**
 * Programs on files that meet a fault beside the power cut: those that heed errors survive each of
 * them, those that do not are lost, and the fault is named.
 */
import { describe, expect, test } from "vitest";
import {
  type FaultNote,
  type VolumeLost,
  type VolumeProof,
  type VolumeSurvived,
  type VolumeWork,
  prove,
  stateOf,
  volumeReport,
} from "../../src/node/prove.ts";
import { parseState } from "../../src/node/prove/faults.ts";
import { DaxError } from "../../src/lib/errno.ts";
import { WHOLE } from "../support/slices.ts";

const make = { inodes: 64 } as const;

async function lostBy(proof: VolumeProof): Promise<VolumeLost> {
  const verdict = await prove({ make, ...proof });
  if (verdict.kind !== "Lost") throw new Error(volumeReport(verdict).join("\n"));
  return verdict;
}

async function survivedBy(proof: VolumeProof): Promise<VolumeSurvived> {
  const verdict = await prove({ make, ...proof });
  if (verdict.kind !== "Survived") throw new Error(volumeReport(verdict).join("\n"));
  return verdict;
}

/** A log of one record; `heeds`: an error of its fsync ends it. */
function logOnce({ fs, ack }: VolumeWork, heeds: boolean): void {
  const fd = fs.openSync("/log", "a");
  fs.writeSync(fd, "record\n");
  try {
    fs.fsyncSync(fd);
  } catch (error) {
    if (heeds) throw error;
  }
  ack("record");
}

const log = {
  model: "ext4-ordered",
  depth: 1,
  check: ({ fs, acked }) => {
    const found = fs.statSync("/log", { throwIfNoEntry: false }) ?? { size: 0 };
    return acked.length === 0 || found.size === 7 || `/log has ${found.size} bytes`;
  },
} as const satisfies Partial<VolumeProof>;

const heeding: VolumeProof["workload"] = (work) => logOnce(work, true);
const heedless: VolumeProof["workload"] = (work) => logOnce(work, false);

/** A page that is written in place; `again`: a sync that failed is made once more. */
const database = (again: boolean, kind: "flush" | "write" = "flush"): VolumeProof => ({
  model: "ext4-ordered",
  depth: 1,
  faults: [kind],
  setup: ({ fs }) => fs.writeFileSync("/db", Buffer.alloc(4096, "o")),
  workload({ fs, ack }) {
    const fd = fs.openSync("/db", "r+");
    fs.writeSync(fd, Buffer.alloc(4096, "n"), 0, 4096, 0);
    try {
      fs.fdatasyncSync(fd);
    } catch (error) {
      if (!again) throw error;
      fs.fdatasyncSync(fd);
    }
    ack("new");
  },
  check: ({ fs, acked }) => acked.length === 0 || fs.readFileSync("/db", "latin1")[0] === "n",
});

/** Copies a file; without `whole` it takes what the first read gives for all of it. */
const copying = (whole: boolean): VolumeProof => ({
  model: "ext4-ordered",
  depth: 1,
  faults: ["short-read"],
  setup: ({ fs }) => fs.writeFileSync("/from", "0123456789"),
  workload({ fs, ack }) {
    const bytes = Buffer.alloc(10);
    const fd = fs.openSync("/from", "r");
    let done = fs.readSync(fd, bytes);
    for (; done < (whole ? 10 : 0);) done += fs.readSync(fd, bytes, done, 10 - done, null);
    fs.writeFileSync("/to", bytes, { flush: true });
    ack("copied");
  },
  check: ({ fs, acked }) => acked.length === 0 || fs.readFileSync("/to", "latin1") === "0123456789",
});

/** Replaces a file; without `heeds` the old one is gone when there was no room for the new. */
const replacing = (heeds: boolean): VolumeProof => ({
  model: "ext4-ordered",
  // What has no name for a while is lost without a fault, too.
  commits: "asked",
  depth: 1,
  faults: ["enospc"],
  setup: ({ fs }) => fs.writeFileSync("/f", "old"),
  workload({ fs, ack }) {
    try {
      fs.writeFileSync("/f.new", "new", { flush: true });
    } catch (error) {
      if (heeds) throw error;
    }
    if (!heeds) fs.rmSync("/f");
    if (fs.existsSync("/f.new")) fs.renameSync("/f.new", "/f");
    fs.fsyncSync(fs.openSync("/", "r"));
    ack("replaced");
  },
  check: ({ fs, faults, acked }) => {
    const wanted = acked.length > 0 && faults.length === 0 ? ["new"] : ["old", "new"];
    return wanted.includes(fs.readFileSync("/f", "utf8"));
  },
});

describe("writes and flushes that fail", () => {
  test("a log that stops promising survives each of them, and there are no more", async () => {
    const { faults } = await survivedBy({
      ...log,
      commits: "asked",
      workload: heeding,
      faults: ["write", "flush", "enospc", "short-read"],
    });
    // One fsync of a new file: FLUSH before the commit, which is FUA; open and write need room.
    const [write, ...others] = faults;
    expect(others.map(({ kind, planned, run }) => [kind, planned, run])).toEqual([
      ["flush", 1, 1],
      ["enospc", 2, 2],
      ["short-read", 0, 0],
    ]);
    const planned = write?.planned ?? 0;
    expect([write?.run, write?.skipped, planned > 5]).toEqual([planned, 0, true]);
    const at = planned + 1;
    const none = await prove({ make, ...log, workload: heeding, faults: [{ kind: "write", at }] });
    expect(none).toMatchObject({ kind: "NotMeasured", why: expect.stringMatching(/it never/u) });
    const last = await survivedBy({
      ...log,
      commits: "asked",
      workload: heeding,
      faults: [{ kind: "write", at: planned }],
    });
    expect(last.faults).toMatchObject([{ planned: 1, run: 1 }]);
  });

  test.each(["write", "flush"] as const)("%s: one that ignores errors is lost", async (kind) => {
    const proof: VolumeProof = { ...log, workload: heedless, faults: [kind] };
    const verdict = await lostBy(proof);
    expect(verdict.fault).toMatchObject({ kind, call: { name: "fsync", threw: "EIO" } });
    expect(verdict.state).toMatch(new RegExp(`^${kind}\\d+~\\d`, "u"));
    const text = volumeReport(verdict).join("\n");
    expect(text).toMatch(/fault +the \d+(?:st|nd|rd|th) (?:write|flush) of the device failed/u);
    expect(text).toMatch(/missing +heed of the error: fsync threw EIO, and .* promise/u);
    const again = await stateOf({ make, ...proof }, verdict.state);
    expect(again.said).toBe(verdict.counterExample.said);
    expect(again.lost?.fault?.words).toBe(verdict.fault?.words);
  });

  test("a flush that failed is not made good by one that says ok", async () => {
    const { faults } = await survivedBy(database(false));
    expect(faults).toMatchObject([{ kind: "flush", planned: 1, run: 1 }]);
    const { fault, state } = await lostBy(database(true));
    expect([fault?.words, state.startsWith("flush1~")]).toEqual([
      "the 1st flush of the device failed with EIO",
      true,
    ]);
    expect(fault?.call?.site?.line).toBe(fault?.threw[0]?.site?.line);
  });

  test("nor is a write of what waited in memory: the next sync says ok", async () => {
    const lost = await lostBy(database(true, "write"));
    expect(lost.state).toMatch(/^delayed:write\d+~/u);
    expect([lost.schedule?.name, lost.fault?.call?.name]).toEqual(["delayed", "fdatasync"]);
    const proof = { make, ...database(true, "write") };
    expect((await stateOf(proof, lost.state)).said).toBe(lost.counterExample.said);
    await survivedBy(database(false, "write"));
  });
});

describe("calls that fail", () => {
  test("no room: each call that needs some, and the check is told", async () => {
    const { faults } = await survivedBy(replacing(true));
    expect(faults).toMatchObject([{ kind: "enospc", planned: 2, run: 2, skipped: 0 }]);
  });

  test("a file that was removed before there was another is lost", async () => {
    const { fault } = await lostBy(replacing(false));
    expect(fault).toMatchObject({ kind: "enospc", at: 1, call: { name: "writeFile" } });
    expect(fault?.threw).toMatchObject([{ name: "writeFile", threw: "ENOSPC" }]);
  });

  test("a short read of a workload that copies", async () => {
    const { faults } = await survivedBy(copying(true));
    expect(faults).toMatchObject([{ kind: "short-read", planned: 1, run: 1 }]);
    const { fault } = await lostBy(copying(false));
    expect(fault).toMatchObject({ during: "workload", call: { name: "read" }, threw: [] });
  });
});

/** A log with a recovery of its own. */
function recovering(recover: NonNullable<VolumeProof["recover"]>): VolumeProof {
  return {
    model: "ext4-ordered",
    depth: 1,
    setup: ({ fs }) => fs.writeFileSync("/log", ""),
    workload({ fs, ack }) {
      fs.writeFileSync("/log", "record\n", { flag: "a", flush: true });
      ack("record");
    },
    recover,
    check: ({ fs, acked }) => acked.length === 0 || fs.readFileSync("/log", "utf8") === "record\n",
  };
}

const MODELS = ["ext4-ordered", "ext4-dax"] as const;

const cutTail =
  (toTheEnd: boolean): NonNullable<VolumeProof["recover"]> =>
  ({ fs }) => {
    const fd = fs.openSync("/log", "r+");
    const bytes = Buffer.alloc(fs.fstatSync(fd).size);
    let done = fs.readSync(fd, bytes);
    for (; done < (toTheEnd ? bytes.length : 0);) {
      done += fs.readSync(fd, bytes, done, bytes.length - done, null);
    }
    const whole = done === 0 ? 0 : bytes.lastIndexOf("\n", done - 1) + 1;
    if (whole < bytes.length) fs.ftruncateSync(fd, whole);
    fs.fsyncSync(fd);
    fs.closeSync(fd);
  };

const readOr =
  (instead: "fail" | "invent"): NonNullable<VolumeProof["recover"]> =>
  ({ fs }) => {
    try {
      fs.readFileSync("/log");
    } catch (error) {
      if (instead === "fail") throw error;
      fs.rmSync("/log");
      fs.writeFileSync("/log", "", { flush: true });
    }
  };

describe("faults when power is back", () => {
  test("a short read of recover", async () => {
    const faults = ["short-read"] as const;
    const right = await survivedBy({ ...recovering(cutTail(true)), faults });
    expect(right.faults).toMatchObject([{ kind: "short-read", planned: 1, run: 1 }]);
    const proof = { make, ...recovering(cutTail(false)), faults };
    const { fault, state } = await lostBy(proof);
    expect([fault?.during, state.startsWith("recovery-short-read1~")]).toEqual(["recovery", true]);
    expect((await stateOf(proof, state)).said).toBe("check returned false");
  });

  // Memory has a sector for every 512 bytes that are read, and each is a proof of its own.
  test.each(WHOLE ? MODELS : MODELS.slice(0, 1))("poison, %s", async (model) => {
    const seen: (readonly FaultNote[])[] = [];
    const given = recovering(readOr("fail"));
    const check: VolumeProof["check"] = (aftermath) => {
      seen.push(aftermath.faults);
      return given.check(aftermath);
    };
    const budget = { faults: 5000 };
    const right = await survivedBy({ ...given, check, model, budget, faults: ["poison"] });
    const [poison] = right.faults;
    expect(poison).toMatchObject({ kind: "poison", run: poison?.planned, skipped: 0 });
    const told = new Set(seen.flatMap((faults) => faults.map(({ at }) => at)));
    expect([seen[0], told.size > 5]).toEqual([[], true]);
    const { fault, state } = await lostBy({
      ...recovering(readOr("invent")),
      model,
      faults: ["poison"],
    });
    expect(fault?.words).toMatch(/^sector \d+ \(\/log, from byte 0\) could not be read/u);
    const at = parseState(state).fault?.at ?? 0;
    const one = {
      ...recovering(readOr("invent")),
      model,
      faults: [{ kind: "poison", at }],
    } as const;
    expect((await lostBy(one)).state).toBe(state);
    // The record lies at the same place in memory.
    const inMemory = await lostBy({ ...one, model: "ext4-dax" });
    expect(inMemory.fault?.words).toBe(fault?.words);
  });
});

describe("what is left out, and what is wrong", () => {
  test("a budget of faults is no pass", async () => {
    const verdict = await prove({
      make,
      ...log,
      workload: heeding,
      faults: ["enospc", "flush"],
      budget: { faults: 1 },
    });
    expect(verdict).toMatchObject({ kind: "NotMeasured" });
    expect(verdict).toHaveProperty("why", expect.stringMatching(/1 of 2 enospc, 1 of 1 flush/u));
  });

  test("a program that loses without a fault says that none was tried", async () => {
    const { fault, notes } = await lostBy({
      ...log,
      workload({ fs, ack }) {
        fs.writeFileSync("/log", "record\n");
        ack("record");
      },
      faults: "all",
    });
    expect([fault, notes]).toEqual([undefined, [expect.stringMatching(/no fault was tried/u)]]);
  });

  test.each([
    [["read"], /"read" is no fault; there is enospc/u],
    ["each", /give "all"/u],
    [[{ kind: "write", at: 0 }], /from 1 on/u],
    [[{ kind: "poison", at: -1 }], /from 0 on/u],
    [[undefined], /is no fault/u],
  ])("%j", async (faults, said) => {
    const verdict = await prove({ ...log, workload: heeding, faults: faults as never });
    expect(verdict).toMatchObject({ kind: "HarnessBroken", phase: "proof" });
    expect(verdict).toHaveProperty("said", expect.stringMatching(said));
  });

  test("a name with a fault that there is none of", async () => {
    const proof = { make, ...log, workload: heeding };
    for (const state of ["write99999~0", "fall1~0", "~0", "write~0", "write1~write2~0"]) {
      // One after the other: each runs the workload.
      // oxlint-disable-next-line no-await-in-loop
      const error = await stateOf(proof, state).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(DaxError);
    }
  });
});
