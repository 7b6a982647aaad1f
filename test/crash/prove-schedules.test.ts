/**
 * What a filesystem does that nobody asked for: the journal's timer, and blocks that come late. The
 * programs are those by which people lost files on Linux, and those that do not.
 */
import { describe, expect, test } from "vitest";
import { prove as proveMemory } from "../../src/crash/prove.ts";
import type { Mapping } from "../../src/vfs/mapping.ts";
import {
  type VolumeProof,
  type VolumeVerdict,
  expectAtomic,
  prove,
  stateOf,
  volumeReport,
} from "../../src/node/prove.ts";

const check = expectAtomic("/f", "old", "young");
const overOld: Pick<VolumeProof, "setup" | "check"> = {
  setup: ({ fs }) => fs.writeFileSync("/f", "old"),
  check,
};

/** The file is written where it is. */
const inPlace: VolumeProof = {
  ...overOld,
  model: "ext4-ordered",
  workload: ({ fs }) => fs.writeFileSync("/f", "young", { flush: true }),
};

/** A new file takes the name, and nobody syncs it; another one is. */
const renamed = (over: boolean, flush: boolean, commits: "any" | "asked" = "any"): VolumeProof => ({
  model: "ext4-ordered",
  commits,
  ...(over ? overOld : {}),
  workload({ fs, ack }) {
    fs.writeFileSync("/f.new", "young", { flush });
    fs.renameSync("/f.new", "/f");
    fs.writeFileSync("/other", "x", { flush: true });
    ack("other");
  },
  check: ({ fs, acked }) => {
    if (acked.length > 0 && !fs.existsSync("/other")) return "/other is not there";
    const found = fs.existsSync("/f") ? fs.readFileSync("/f", "utf8") : "absent";
    const right = over ? ["old", "young"] : ["absent", "young"];
    return right.includes(found) || `/f is "${found}"`;
  },
});

/** Those of ext4 on a disk beside the program as it is. */
const DISK_SCHEDULES = ["timer", "delayed", "delayed-timer", "flusher"];

const kindsOf = (verdict: VolumeVerdict): string => verdict.kind;
const told = (verdict: VolumeVerdict): string => volumeReport(verdict).join("\n");

describe("a file that is written where it is", () => {
  test.each(["ext4-ordered", "ext4-dax"] as const)("is empty for a while: %s", async (model) => {
    const verdict = await prove({ ...inPlace, model });
    if (verdict.kind !== "Lost") throw new Error(told(verdict));
    expect(verdict.schedule?.name).toBe("timer");
    expect(verdict.counterExample.said).toMatch(/\/f is ""/u);
    expect(verdict.state).toMatch(/^timer:/u);
    expect(verdict.missingCalls).toBe(undefined);
    const { said } = await stateOf({ ...inPlace, model }, verdict.state);
    expect(said).toBe(verdict.counterExample.said);
    expect(told(verdict)).toMatch(/when +the journal's timer/u);
  });

  test("may be anything on ext2, where its sync has no order", async () => {
    const verdict = await prove({ ...inPlace, model: "ext2" });
    expect(verdict).toMatchObject({ kind: "Lost", noRemedy: expect.stringContaining("half done") });
  });

  test("is not where nothing is written but what is asked for", async () => {
    expect(kindsOf(await prove({ ...inPlace, commits: "asked" }))).toBe("Survived");
  });
});

describe("a new file that nobody synced", () => {
  test("has its name before its contents, and fsync is what is missing", async () => {
    const verdict = await prove(renamed(false, false));
    if (verdict.kind !== "Lost") throw new Error(told(verdict));
    expect(verdict.schedule?.name).toBe("delayed");
    expect(verdict.counterExample.said).toBe('/f is ""');
    expect(verdict.missingCalls).toMatchObject([
      { when: "after", what: "file", path: "/f.new", call: { name: "writeFile" } },
    ]);
  });

  test("that takes another one's name is NULs for a while (dioread_nolock)", async () => {
    const verdict = await prove(renamed(true, false));
    if (verdict.kind !== "Lost") throw new Error(told(verdict));
    expect(verdict.schedule?.name).toBe("delayed");
    expect(verdict.counterExample.said).toBe(`/f is "${"\0".repeat(5)}"`);
    expect(verdict.missingCalls).toMatchObject([
      { when: "after", what: "file", path: "/f.new", call: { name: "writeFile" } },
    ]);
  });

  test.each([
    ["with fsync", renamed(false, true)],
    ["that takes another one's name, with fsync", renamed(true, true)],
    ["with dax", { ...renamed(false, false), model: "ext4-dax" }],
    ["where nothing comes late", renamed(false, false, "asked")],
  ] as const)("%s: it survives", async (_, proof) => {
    const verdict = await prove(proof);
    if (verdict.kind !== "Survived") throw new Error(told(verdict));
    const asked = "commits" in proof && proof.commits === "asked";
    const all = proof.model === "ext4-dax" ? ["timer"] : DISK_SCHEDULES;
    expect(verdict.schedules.map(({ name }) => name)).toEqual(asked ? [] : all);
    for (const { space, leaves } of verdict.schedules) {
      expect(space).toBeGreaterThan(0n);
      expect(leaves).toBeGreaterThan(0);
    }
  });

  test("that takes another one's name is not whole for a while, without a journal", async () => {
    const verdict = await prove({ ...renamed(true, true), model: "ext2" });
    expect(kindsOf(verdict)).toBe("Lost");
  });
});

/** A file that is changed within the blocks that it has, while another one is synced. */
const withinBlocks = (flush: boolean, change: "overwrite" | "append"): VolumeProof => ({
  model: "ext4-ordered",
  depth: 1,
  setup({ fs }) {
    fs.writeFileSync("/pages", "o".repeat(100));
    fs.writeFileSync("/commit", "0");
  },
  workload({ fs, ack }) {
    const flag = change === "append" ? "a" : "r+";
    fs.writeFileSync("/pages", "n".repeat(50), { flag, flush });
    fs.appendFileSync("/commit", "1", { flush: true });
    ack("one");
  },
  check({ fs, acked }) {
    const found = fs.readFileSync("/pages", "latin1");
    const wanted = change === "append" ? /^o{100}n{50}$/u : /^n{50}o{50}$/u;
    const words = JSON.stringify(found.replaceAll(/(.)\1+/gsu, "$1"));
    return acked.length === 0 || wanted.test(found) || `${words} of ${found.length}`;
  },
});

describe("a file that is changed within the blocks that it has", () => {
  test.each([
    ["overwrite", '"o" of 100'],
    ["append", String.raw`"o\u0000" of 150`],
  ] as const)("%s: is not what the sync of another file makes durable", async (change, said) => {
    const proof = withinBlocks(false, change);
    const verdict = await prove(proof);
    if (verdict.kind !== "Lost") throw new Error(told(verdict));
    expect(verdict.schedule?.name).toBe("delayed");
    expect(verdict.counterExample.said).toBe(said);
    expect(verdict.missingCalls).toMatchObject([
      { when: "after", what: "file", path: "/pages", call: { name: "writeFile" } },
    ]);
    expect((await stateOf(proof, verdict.state)).said).toBe(said);
  });

  test.each(["overwrite", "append"] as const)("%s: is durable with its own", async (change) => {
    const verdict = await prove(withinBlocks(true, change));
    if (verdict.kind !== "Survived") throw new Error(told(verdict));
    expect(verdict.schedules.map(({ name }) => name)).toEqual(DISK_SCHEDULES);
  });

  test("grows before its bytes are there, whoever syncs it", async () => {
    const verdict = await prove({
      ...withinBlocks(true, "append"),
      check: ({ fs }) => /^o+n*$/u.test(fs.readFileSync("/pages", "latin1")) || "zeros",
    });
    if (verdict.kind !== "Lost") throw new Error(told(verdict));
    expect(verdict.schedule?.name).toBe("delayed-timer");
  });
});

/** A log of whole blocks gets one more, which nobody syncs, while another file is synced. */
const blocksAppended = (tolerant: boolean): VolumeProof => ({
  model: "ext4-ordered",
  depth: 1,
  setup: ({ fs }) => fs.writeFileSync("/log", "o".repeat(4096)),
  workload({ fs, ack }) {
    fs.appendFileSync("/log", "n".repeat(4096));
    fs.writeFileSync("/other", "x", { flush: true });
    ack("other");
  },
  check({ fs }) {
    const [first = "", second = ""] = fs.readFileSync("/log", "latin1").match(/.{4096}/gsu) ?? [];
    if (!/^o+$/u.test(first)) return "the first block is gone";
    if (/^n*$/u.test(second) || (tolerant && /^\0+$/u.test(second))) return true;
    return `the second block is ${JSON.stringify(second.slice(0, 1))}`;
  },
});

describe("blocks that are appended", () => {
  test("are NULs while they are on their way, whoever commits then", async () => {
    const verdict = await prove(blocksAppended(false));
    if (verdict.kind !== "Lost") throw new Error(told(verdict));
    expect(verdict.schedule?.name).toBe("flusher");
    expect(verdict.counterExample.said).toBe(String.raw`the second block is "\u0000"`);
    const { said } = await stateOf(blocksAppended(false), verdict.state);
    expect(said).toBe(verdict.counterExample.said);
    expect(told(verdict)).toMatch(/the flusher has begun to write out/u);
  });

  test("are no loss to who knows a block of NULs for none of its own", async () => {
    expect(kindsOf(await prove(blocksAppended(true)))).toBe("Survived");
  });
});

test("what a program makes of its buffer later is not what it has written", async () => {
  const verdict = await prove({
    model: "ext4-ordered",
    depth: 1,
    commits: "asked",
    workload({ fs, ack }) {
      const buffer = Buffer.alloc(4096, "a");
      fs.writeFileSync("/a", buffer, { flush: true });
      buffer.fill("b");
      ack("a");
    },
    check: ({ fs, acked }) => {
      const found = fs.existsSync("/a") ? fs.readFileSync("/a", "latin1") : "";
      return acked.length === 0 || found === "a".repeat(4096) || `/a holds ${found.slice(0, 1)}`;
    },
  });
  expect(kindsOf(verdict)).toBe("Survived");
});

test("commits is one of two words", async () => {
  const verdict = await prove({ ...inPlace, commits: "never" as "any" });
  expect(told(verdict)).toMatch(/HARNESS BROKEN[^]*commits: "never"; there is any, asked/u);
});

test("a machine is described by the words that there are", async () => {
  const dm = [{ name: "fast", table: "0 8 linear pmem0 0" }];
  const verdict = await prove({ ...inPlace, machine: { dm } as object });
  expect(told(verdict)).toMatch(/HARNESS BROKEN[^]*machine\.dm: there is size, domain/u);
  const memory = { name: "x", size: 64, workload() {}, check: () => true, machin: {} };
  expect(proveMemory(memory)).toMatchObject({ kind: "HarnessBroken" });
  expect(JSON.stringify(proveMemory(memory))).toContain("machin: there is name, size");
});

describe("a mapping without dax", () => {
  const stored = Uint8Array.from({ length: 9000 }, (_, i) => (i * 7 + 1) & 255);
  const flushing = (flush: (mapping: Mapping) => void, length = 9000): VolumeProof => ({
    setup: ({ fs }) => fs.writeFileSync("/one", new Uint8Array(12_288)),
    workload: ({ mapping, ack }) => {
      const one = mapping("/one", { sync: false });
      one.copyIn(0, stored.subarray(0, length));
      flush(one);
      ack("stored");
    },
    check: ({ fs, acked }) => {
      const found = fs.readFileSync("/one").subarray(0, length);
      const at = found.findIndex((byte, i) => byte !== stored[i]);
      return acked.length === 0 || at < 0 || `byte ${at} is old`;
    },
  });

  test("is durable where msync was asked for", async () => {
    const model = "ext4-ordered";
    const part = await prove({ model, ...flushing((one) => one.flush(0, 4096)) });
    expect(kindsOf(part)).toBe("Lost");
    expect(told(part)).toMatch(/byte (?:4096|8192) is old/u);
    for (const [flush, length] of [
      [(one: Mapping) => one.flush(), 9000],
      [(one: Mapping) => one.flush(10, 100), 4096],
      [(one: Mapping) => one.flush(4095, 2), 8000],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop -- one proof after the other
      expect(kindsOf(await prove({ model, ...flushing(flush, length) }))).toBe("Survived");
    }
    expect(kindsOf(await prove({ model, ...flushing(() => {}) }))).toBe("Lost");
  });
});
