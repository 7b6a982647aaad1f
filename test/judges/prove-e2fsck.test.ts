/**
 * What proofs call lost is lost for others too: e2fsck recovers the image of the counter-example,
 * and debugfs does not find in it what was promised.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  type PresetName,
  type VolumeProof,
  expectAtomic,
  expectDurable,
  prove,
  stateOf,
  volumeReport,
} from "../../src/node/prove.ts";
import { programs } from "./judge.ts";
import { writeSparse } from "../support/sparse-file.ts";

const make = { inodes: 64 } as const;
const { missing, hint } = programs(["e2fsck", "debugfs"], "apt-get install e2fsprogs");

/** Programs that lose what they promised, and the file that must not be as promised. */
const LOSING: Readonly<Record<string, readonly [VolumeProof, path: string, promised: string]>> = {
  "a file that is written": [
    {
      make,
      workload: ({ fs, ack }) => {
        fs.writeFileSync("/f", "text");
        ack("written");
      },
      check: expectAtomic("/f", undefined, "text"),
    },
    "/f",
    "text",
  ],
  "a file that is replaced": [
    {
      make,
      setup: ({ fs }) => fs.writeFileSync("/f", "old"),
      workload: ({ fs, ack }) => {
        fs.writeFileSync("/new", "young", { flush: true });
        fs.renameSync("/new", "/f");
        ack("replaced");
      },
      check: expectAtomic("/f", "old", "young"),
    },
    "/f",
    "young",
  ],
  "a log that is appended to": [
    {
      make,
      setup: ({ fs }) => fs.writeFileSync("/f", "one\n"),
      workload: ({ fs, ack }) => {
        fs.appendFileSync("/f", "two\n");
        ack("appended");
      },
      check: expectDurable("/f"),
    },
    "/f",
    "one\ntwo\n",
  ],
};
const MODELS: readonly PresetName[] = ["ext4-dax", "ext4-ordered"];

function recoveredByOthers(image: Uint8Array, path: string): string {
  const folder = mkdtempSync(join(tmpdir(), "daxkit-prove-"));
  try {
    const file = join(folder, "image");
    writeSparse(file, image);
    const { status } = spawnSync("e2fsck", ["-p", file]);
    // 0: clean, 1: the journal was replayed.
    expect(status).toBeLessThanOrEqual(1);
    return execFileSync("debugfs", ["-R", `cat ${path}`, file], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe.skipIf(missing).each(MODELS)(`%s${hint}`, (model) => {
  test.each(Object.entries(LOSING))("%s", async (_, [given, path, promised]) => {
    const proof = { ...given, model };
    const verdict = await prove(proof);
    if (verdict.kind !== "Lost") throw new Error(volumeReport(verdict).join("\n"));
    expect(verdict.counterExample.cuts[0]?.acked.length).toBe(1);
    const { image, said } = await stateOf(proof, verdict.state);
    expect(said).toBe(verdict.counterExample.said);
    expect(recoveredByOthers(image, path)).not.toBe(promised);
  });
});

test("programs that keep their promises are not accused", async () => {
  const verdict = await prove({
    make,
    model: "ext4-ordered",
    workload: ({ fs, ack }) => {
      fs.writeFileSync("/f", "text", { flush: true });
      ack("written");
    },
    check: expectDurable("/f"),
  });
  expect(verdict.kind).toBe("Survived");
});

test.skipIf(missing)(
  `a name that is there before its contents is empty for others too${hint}`,
  async () => {
    const proof: VolumeProof = {
      make,
      model: "ext4-ordered",
      workload: ({ fs, ack }) => {
        fs.writeFileSync("/new", "young");
        fs.renameSync("/new", "/f");
        fs.writeFileSync("/other", "x", { flush: true });
        ack("other");
      },
      check: ({ fs, acked }) =>
        (acked.length === 0 || fs.existsSync("/other")) &&
        (!fs.existsSync("/f") || fs.readFileSync("/f", "utf8") === "young"),
    };
    const verdict = await prove(proof);
    if (verdict.kind !== "Lost") throw new Error(volumeReport(verdict).join("\n"));
    expect(verdict.schedule?.name).toBe("delayed");
    const { image } = await stateOf(proof, verdict.state);
    expect(recoveredByOthers(image, "/f")).toBe("");
    expect(recoveredByOthers(image, "/other")).toBe("x");
  },
);

/** Changed within the blocks that it has, and another file is synced. */
const WITHIN: readonly (readonly [flag: string, found: string])[] = [
  ["a", `${"o".repeat(100)}${"\0".repeat(50)}`],
  ["r+", "o".repeat(100)],
];

test.skipIf(missing).each(WITHIN)(
  `pages of a file that nobody synced are not there for others either (flag %s)${hint}`,
  async (flag, found) => {
    const proof: VolumeProof = {
      make,
      model: "ext4-ordered",
      depth: 1,
      setup: ({ fs }) => {
        fs.writeFileSync("/f", "o".repeat(100));
        fs.writeFileSync("/other", "-");
      },
      workload: ({ fs, ack }) => {
        fs.writeFileSync("/f", "n".repeat(50), { flag });
        fs.appendFileSync("/other", "x", { flush: true });
        ack("other");
      },
      check: ({ fs, acked }) =>
        acked.length === 0 || /n{50}/u.test(fs.readFileSync("/f", "latin1")),
    };
    const verdict = await prove(proof);
    if (verdict.kind !== "Lost") throw new Error(volumeReport(verdict).join("\n"));
    expect(verdict.schedule?.name).toBe("delayed");
    const { image } = await stateOf(proof, verdict.state);
    expect(recoveredByOthers(image, "/f")).toBe(found);
    expect(recoveredByOthers(image, "/other")).toBe("-x");
  },
);
