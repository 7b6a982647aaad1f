/** What fsync and fdatasync are needed for, and what they are enough for, as in Linux. */
import { describe, expect, test } from "vitest";
import { type VolumeProof, prove } from "../../src/node/prove.ts";
import type { VolumeFs } from "../../src/node/facade/facade.ts";
import { SYNC_RULES } from "../support/sync-rules.ts";

function synced(fs: VolumeFs, path: string, how: "fsyncSync" | "fdatasyncSync"): void {
  const fd = fs.openSync(path, "r");
  fs[how](fd);
  fs.closeSync(fd);
}

describe("ext4-ordered", () => {
  test.each(SYNC_RULES)("$name", async ({ change, isThere, fdatasync }) => {
    const kinds = ["fsyncSync", "fdatasyncSync"].map(async (how) => {
      const proof: VolumeProof = {
        model: "ext4-ordered",
        commits: "asked",
        setup: ({ fs }) => {
          fs.writeFileSync("/f", "old");
          fs.mkdirSync("/d");
        },
        workload({ fs, ack }) {
          synced(fs, `/${change(fs, "/")}`, how as "fsyncSync");
          ack(1);
        },
        check: ({ fs, acked }) => acked.length === 0 || isThere(fs, "/") || "not there",
      };
      return (await prove(proof)).kind;
    });
    expect(await Promise.all(kinds)).toEqual(["Survived", fdatasync ? "Survived" : "Lost"]);
  });
});

const gone: Pick<VolumeProof, "model" | "setup" | "check"> = {
  model: "ext4-ordered",
  setup: ({ fs }) => {
    fs.writeFileSync("/f", "old");
    fs.writeFileSync("/g", "x");
  },
  check: ({ fs, acked }) => acked.length === 0 || !fs.existsSync("/f") || "f is back",
};

const written: VolumeProof["workload"] = ({ fs, ack }) => {
  fs.unlinkSync("/f");
  const fd = fs.openSync("/g", "r+");
  fs.writeSync(fd, "y");
  fs.fsyncSync(fd);
  fs.closeSync(fd);
  ack(1);
};
const deleted: VolumeProof["workload"] = ({ fs, ack }) => {
  fs.unlinkSync("/f");
  ack(1);
};
const deletedForGood: VolumeProof["workload"] = ({ fs, ack }) => {
  fs.unlinkSync("/f");
  synced(fs, "/", "fsyncSync");
  ack(1);
};

test("a write in place, long after the file was made, takes a commit with it", async () => {
  expect((await prove({ ...gone, workload: written })).kind).toBe("Survived");
});

test("a deletion that nobody syncs is lost, though nothing was stored", async () => {
  const verdict = await prove({ ...gone, workload: deleted });
  expect(verdict).toMatchObject({ kind: "Lost", missingCalls: [{ what: "directory", path: "/" }] });
});

test("a check of a deletion can fail; one that passes what was before too cannot", async () => {
  expect((await prove({ ...gone, workload: deletedForGood })).kind).toBe("Survived");
  const vacuous = await prove({ ...gone, workload: deletedForGood, check: () => true });
  expect(vacuous).toMatchObject({ kind: "NotMeasured" });
  expect(vacuous).toHaveProperty("why", expect.stringContaining("empty"));
});

/** Syncs some paths of what it has made; all three are needed. */
const made = (
  kind: string,
  ...syncs: readonly string[]
): [string, VolumeProof["workload"], unknown] => [
  `${syncs.join(" and ")}: ${kind}`,
  ({ fs, ack }) => {
    fs.mkdirSync("/d");
    fs.writeFileSync("/d/n", "x".repeat(60_000));
    for (const path of syncs) synced(fs, path, "fsyncSync");
    ack(1);
  },
  kind === "Lost" ? { kind, missingCalls: { length: 3 - syncs.length } } : { kind },
];

describe("ext2 syncs what belongs to a file, and its directory has its name", () => {
  test.each([
    made("Lost", "/d/n"),
    made("Lost", "/d", "/"),
    made("Lost", "/d/n", "/d"),
    made("Lost", "/d/n", "/"),
    made("Survived", "/d/n", "/d", "/"),
  ])("%s", async (_, workload, verdict) => {
    const proof: VolumeProof = {
      model: "ext2",
      workload,
      check: ({ fs, acked }) =>
        acked.length === 0 || fs.readFileSync("/d/n", "utf8").length === 60_000,
    };
    expect(await prove(proof)).toMatchObject(verdict as object);
  });
});
