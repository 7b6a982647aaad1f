/**
 * Programs on a filesystem in modelled memory: what they lose, and which call is missing.
 */
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import {
  type VolumeLost,
  type VolumeProof,
  type VolumeSurvived,
  type VolumeWork,
  expectAtomic,
  expectDurable,
  expectPrefix,
  prove,
  stateOf,
  toJson,
  toJunit,
  volumeReport,
} from "../../src/node/prove.ts";

async function lostBy(proof: VolumeProof): Promise<VolumeLost> {
  const verdict = await prove(proof);
  if (verdict.kind !== "Lost") throw new Error(volumeReport(verdict).join("\n"));
  return verdict;
}

async function survivedBy(proof: VolumeProof): Promise<VolumeSurvived> {
  const verdict = await prove(proof);
  if (verdict.kind !== "Survived") throw new Error(volumeReport(verdict).join("\n"));
  return verdict;
}

const setup: NonNullable<VolumeProof["setup"]> = ({ fs }) => {
  fs.mkdirSync("/data");
  fs.writeFileSync("/data/f", "old");
};
const check = expectAtomic("/data/f", "old", "new");

function replace({ fs, ack }: VolumeWork, syncs: "none" | "file" | "both" | "more"): void {
  fs.writeFileSync("/data/f.tmp", "new");
  if (syncs !== "none") {
    const fd = fs.openSync("/data/f.tmp", "r+");
    fs.fsyncSync(fd);
    if (syncs === "more") fs.fdatasyncSync(fd);
    fs.closeSync(fd);
  }
  fs.renameSync("/data/f.tmp", "/data/f");
  if (syncs === "both" || syncs === "more") {
    const fd = fs.openSync("/data", "r");
    fs.fsyncSync(fd);
    fs.closeSync(fd);
  }
  ack("replaced");
}

describe("a file that is replaced by rename", () => {
  test("without a sync of the directory the promise is broken, and it is missing", async () => {
    const verdict = await lostBy({ setup, check, workload: (work) => replace(work, "file") });
    expect(verdict.counterExample.said).toMatch(/still, though the new contents were promised/u);
    expect(verdict.missingCalls).toMatchObject([
      { when: "after", what: "directory", path: "/data", call: { name: "rename" } },
    ]);
    expect(verdict.missingCalls?.[0]?.call.site?.file).toMatch(/prove-volume\.test\.ts$/u);
  });

  test("with it everything survives", async () => {
    const verdict = await survivedBy({ setup, check, workload: (work) => replace(work, "both") });
    expect(verdict.space).toBeGreaterThan(10n ** 9n);
  });
});

const workload: VolumeProof["workload"] = (work) => replace(work, "none");

describe("what lies underneath decides", () => {
  test("a battery behind the caches makes up for no journal that was not committed", async () => {
    const verdict = await lostBy({
      model: "eadr",
      workload: ({ fs, ack }) => {
        fs.writeFileSync("/f", "text");
        ack("written");
      },
      check: expectDurable("/f"),
    });
    expect(verdict.missingCalls?.length).toBe(1);
  });

  test("volatile memory keeps nothing", async () => {
    const { missingCalls, noRemedy } = await lostBy({ setup, check, workload, model: "volatile" });
    expect([missingCalls, noRemedy]).toEqual([undefined, expect.stringMatching(/volatile/u)]);
  });

  // On disks the commit that the directory's fsync asks for does not wait for contents.
  test.each([
    ["ext4-ordered", 2],
    ["disk-volatile-cache", 2],
    ["mixed", 1],
  ] as const)("%s", async (model, missing) => {
    const lost = await lostBy({ setup, check, workload, model });
    expect(lost.missingCalls).toHaveLength(missing);
    const right = { setup, check, model, workload: (work: VolumeWork) => replace(work, "both") };
    const survived = await survivedBy(right);
    const covered = survived.depths.reduce((sum, depth) => sum + depth.covered, 0n);
    expect(covered).toBe(survived.space);
  });

  test("ext2", async () => {
    const written = { model: "ext2", check: expectDurable("/f") } as const;
    const lost = await lostBy({
      ...written,
      workload: ({ fs, ack }) => {
        fs.writeFileSync("/f", "text");
        ack("written");
      },
    });
    // A name belongs to its directory.
    const missing = lost.missingCalls?.map(({ what, path }) => `${what} ${path}`);
    expect(missing?.toSorted()).toEqual(["directory /", "file /f"]);
  });
});

const map =
  (flushes: boolean): VolumeProof["workload"] =>
  ({ mapping, ack }) => {
    const mapped = mapping("/page");
    mapped.copyIn(100, new TextEncoder().encode("mapped"));
    if (flushes) mapped.flush(100, 6);
    ack("stored");
  };

describe("sectors", () => {
  const [before, after] = ["a".repeat(4096), "b".repeat(4096)];
  const proof: VolumeProof = {
    model: "ext4-ordered",
    depth: 1,
    setup: ({ fs }) => fs.writeFileSync("/f", before),
    workload({ fs, ack }) {
      const fd = fs.openSync("/f", "r+");
      fs.writeSync(fd, after);
      fs.fdatasyncSync(fd);
      ack("written");
      fs.closeSync(fd);
    },
    check({ fs, acked }) {
      const held = fs.readFileSync("/f", "utf8");
      return held === after || (held === before && acked.length === 0) || "half of it";
    },
  };

  test("are whole, or torn where a proof says so", async () => {
    const { assumes } = await survivedBy(proof);
    expect(assumes).not.toContain("torn");
    const torn = await lostBy({ ...proof, machine: { torn: 2048 } });
    expect(torn.assumes).toContain("a sector may be torn after each 2048 bytes");
  });

  test("of the wrong size, and of memory, are refused", async () => {
    for (const [machine, model, words] of [
      [{ sector: 1024 }, "ext4-ordered", "they have 512 or 4096"],
      [{ torn: 12 }, "ext4-ordered", "a multiple of 8"],
      [{ torn: 512 }, "disk-volatile-cache", "below 512"],
      [{ torn: 64 }, "ext4-dax", "which is memory"],
    ] as const) {
      // One after the other: they are short.
      // oxlint-disable-next-line no-await-in-loop
      const verdict = await prove({ ...proof, model, machine });
      expect(verdict).toMatchObject({
        kind: "HarnessBroken",
        said: expect.stringContaining(words),
      });
    }
  });
});

describe("a mapped file", () => {
  const mapped: Pick<VolumeProof, "setup" | "check"> = {
    setup: ({ fs }) => fs.writeFileSync("/page", new Uint8Array(4096)),
    check: ({ fs, acked }) =>
      acked.length === 0 || fs.readFileSync("/page", "latin1").slice(100, 106) === "mapped",
  };

  test("is durable when it was flushed, and lost byte for byte when not", async () => {
    await survivedBy({ ...mapped, workload: map(true) });
    const { places } = await lostBy({ ...mapped, workload: map(false) });
    expect(places).toMatchObject([{ words: "/page, from byte 100", length: 6, fate: "lost" }]);
  });
});

const append = async ({ fs, ack }: VolumeWork, synced: boolean): Promise<void> => {
  const file = await fs.promises.open("/log", "a");
  for (const line of ["one\n", "two\n"]) {
    // The order is what is tested.
    // oxlint-disable-next-line no-await-in-loop
    await file.appendFile(line);
    // oxlint-disable-next-line no-await-in-loop
    if (synced) await file.sync();
    ack(line);
  }
  await file.close();
};
const log: NonNullable<VolumeProof["setup"]> = ({ fs }) => fs.writeFileSync("/log", "zero\n");

describe("checks that need no writing", () => {
  test.each([expectDurable("/log"), expectPrefix()])("of an asynchronous log", async (oracle) => {
    const setUp = { setup: log, check: oracle };
    const { redundantCalls } = await survivedBy({ ...setUp, workload: (w) => append(w, true) });
    expect(redundantCalls).toEqual([]);
    const lost = await lostBy({ ...setUp, workload: (work) => append(work, false) });
    expect(lost.counterExample.said).toMatch(/\/log/u);
    expect(lost.cutIn?.name ?? "nothing").toMatch(/nothing|appendFile|close/u);
  });
});

function syncAt(fs: VolumeWork["fs"], path: string): void {
  const fd = fs.openSync(path, "r");
  fs.fsyncSync(fd);
  fs.closeSync(fd);
}

describe("reports", () => {
  test("say which calls were made, name the state, and make it again", async () => {
    const proof: VolumeProof = { setup, check, workload: (work) => replace(work, "file") };
    const verdict = await lostBy(proof);
    const text = volumeReport(verdict).join("\n");
    expect(text).toMatch(/rename \/data\/f\.tmp to \/data\/f \(/u);
    expect(text).toContain(`--state ${verdict.state}`);
    const { said, image } = await stateOf(proof, verdict.state);
    expect([said, image.length]).toEqual([verdict.counterExample.said, 10 << 20]);
    expect(toJson(verdict)).toMatchObject({ kind: "Lost", state: verdict.state });
    const xml = toJunit("proofs", [{ verdict, report: [text] }]);
    expect(xml).toContain('failures="1"');
    expect(xml).not.toMatch(/<failure[^>]*&[^a-z]/u);
  });

  test("calls that had nothing to make durable are named, mapped ones too", async () => {
    const verdict = await survivedBy({
      setup: ({ fs }) => fs.writeFileSync("/page", new Uint8Array(4096)),
      workload({ fs, mapping, ack }) {
        const mapped = mapping("/page");
        mapped.copyIn(0, new TextEncoder().encode("mapped"));
        for (let i = 0; i < 3; i++) mapped.flush(0, 6);
        const fd = fs.openSync("/page", "r");
        fs.fsyncSync(fd);
        fs.fsyncSync(fd);
        ack("stored");
      },
      check: ({ fs, acked }) =>
        acked.length === 0 || fs.readFileSync("/page", "latin1").startsWith("mapped"),
    });
    const found = verdict.idleCalls.map(({ call, times, idle }) => [call.name, times, idle]);
    expect(found).toEqual([
      ["flush", 3, 2],
      ["fsync", 1, 1],
    ]);
    const text = volumeReport(verdict).join("\n");
    expect(text).toMatch(
      /idle +flush \/page \(.*prove-volume\.test\.ts:\d+:\d+.*\): 2 of 3 times/u,
    );
  });

  test("a sync that no state needs is named", async () => {
    const { redundantCalls } = await survivedBy({
      setup,
      check,
      workload: (work) => replace(work, "more"),
    });
    expect(redundantCalls.map(({ call }) => call.name)).toContain("fdatasync");
  });

  test("each sync that no state needs is named, of mappings and of one caller too", async () => {
    const { redundantCalls, notes } = await survivedBy({
      commits: "asked",
      make: { inodes: 64 },
      setup: ({ fs }) => fs.writeFileSync("/page", new Uint8Array(4096)),
      workload({ fs, mapping, ack }) {
        const mapped = mapping("/page");
        mapped.setUint8(0, 7);
        mapped.flush(0, 1);
        fs.writeFileSync("/f", "text");
        syncAt(fs, "/f");
        ack("both");
        // What nobody promises nobody has to make durable.
        mapped.setUint8(100, 7);
        mapped.flush(100, 1);
        fs.writeFileSync("/g", "text");
        syncAt(fs, "/g");
        // Each of these is a place of its own.
        const fd = fs.openSync("/g", "r");
        fs.fsyncSync(fd);
        fs.fsyncSync(fd);
        fs.fsyncSync(fd);
        fs.fsyncSync(fd);
        fs.fsyncSync(fd);
        fs.fsyncSync(fd);
        fs.fsyncSync(fd);
        fs.fsyncSync(fd);
        fs.fsyncSync(fd);
        fs.fsyncSync(fd);
        fs.fsyncSync(fd);
      },
      check: ({ fs, acked }) =>
        acked.length === 0 || (fs.readFileSync("/page")[0] === 7 && fs.existsSync("/f")),
    });
    const found = redundantCalls.map(({ call, caller }) => `${call.name} ${call.path} ${!!caller}`);
    expect(found.toSorted()).toEqual(
      [
        ...Array.from({ length: 11 }, () => "fsync /g false"),
        "flush /page false",
        "fsync /g true",
      ].toSorted(),
    );
    expect(notes).toEqual([]);
  });
});

const streamed =
  (until: "finish" | "close") =>
  async ({ fs, ack }: VolumeWork): Promise<void> => {
    const stream = fs.createWriteStream("/f");
    stream.write("one ");
    stream.end("two");
    await once(stream, until);
    ack(until);
  };

describe("a stream, that calls when nobody is on the stack", () => {
  test.each([
    ["ext4-ordered", "close", [["before", "close", "file"]]],
    ["ext4-dax", "close", [["before", "close", "file"]]],
    ["ext4-dax", "finish", [["after", "writev", "file"]]],
    [
      "ext2",
      "close",
      [
        ["after", "open", "directory"],
        ["before", "close", "file"],
      ],
    ],
  ] as const)("%s, promised at %s: the fsync is found", async (model, until, wanted) => {
    const { missingCalls = [] } = await lostBy({
      model,
      make: { inodes: 64 },
      workload: streamed(until),
      check: ({ fs, acked }) =>
        acked.length === 0 || fs.readFileSync("/f", "latin1") === "one two" || "not whole",
    });
    expect(missingCalls.map(({ when, call, what }) => [when, call.name, what])).toEqual(wanted);
  });
});
