/**
 * What an exploration remembers of its earlier runs changes nothing that it finds: verdicts,
 * counts, weights, counter-examples and loads are the same with all of it, with whole runs only,
 * with nothing, and with each part made again. A thousand cases by `npm run doubt`.
 */
import { expect, test } from "vitest";
import { REMEMBERINGS } from "../../src/crash/remembering.ts";
import { type VolumeProof, expectPrefix } from "../../src/node/prove.ts";
import { proveVolume } from "../../src/node/prove/volume-prover.ts";
import { findingsOf, randomProof } from "../support/random-proofs.ts";
import { WHOLE } from "../support/slices.ts";

const CASES = Number(process.env["DAXKIT_CASES"] ?? (WHOLE ? 12 : 5));
const FIRST = Number(process.env["DAXKIT_SEED"] ?? 1);
/** Milliseconds; a vitest limit, and no claim. */
const PATIENCE = 3_600_000;
const MOST = ["everything", "proved"] as const;

test(
  "proofs by chance: the same is found, whatever is remembered",
  async () => {
    let leaves = 0;
    let failing = 0;
    for (let seed = FIRST; seed < FIRST + CASES; seed++) {
      const random = randomProof(seed);
      // oxlint-disable no-await-in-loop -- the first that fails ends it
      const wanted = await findingsOf(random, "nothing");
      // Whole runs only are a part of everything.
      const others = seed % 5 === 0 ? [...MOST, "runs" as const] : MOST;
      for (const remembers of others) {
        const words = `seed ${seed}, ${remembers}: ${random.words}`;
        expect([words, ...(await findingsOf(random, remembers))]).toEqual([words, ...wanted]);
      }
      for (const each of wanted) {
        leaves += Number(/"leaves":(\d+)/u.exec(each)?.[1] ?? 0);
        failing += each.includes('"said"') ? 1 : 0;
        expect(each).not.toContain("deterministic");
      }
    }
    // A comparison of nothing with nothing says nothing.
    expect(leaves).toBeGreaterThan(CASES * 4);
    expect(failing).toBeGreaterThan(CASES / 4);
  },
  PATIENCE,
);

const SMALL = {
  machine: { size: 4 << 20 },
  make: { blockSize: 1024, journalMegabytes: 1, inodes: 64 },
} as const;

/** A log that is cut back where it was left half written: its recovery writes. */
const log = (over: Partial<VolumeProof>): VolumeProof => ({
  ...SMALL,
  setup: ({ fs }) => fs.writeFileSync("/log", ""),
  workload({ fs, ack }) {
    for (const line of ["one\n", "two\n"]) {
      fs.appendFileSync("/log", line, { flush: true });
      ack(line);
    }
  },
  recover({ fs }) {
    const text = fs.readFileSync("/log", "latin1");
    fs.truncateSync("/log", text.lastIndexOf("\n") + 1);
    const fd = fs.openSync("/log", "r+");
    fs.fsyncSync(fd);
    fs.closeSync(fd);
    return text.length;
  },
  check: ({ fs, acked }) => {
    const text = fs.readFileSync("/log", "latin1");
    return text.startsWith(acked.join("")) || `${acked.length} lines are ${JSON.stringify(text)}`;
  },
  ...over,
});

/** The same with a recovery and a check that wait. */
const waiting = (proof: VolumeProof): VolumeProof => ({
  ...proof,
  recover: async (found) => {
    await Promise.resolve();
    return proof.recover?.(found);
  },
  check: async (found) => {
    await Promise.resolve();
    return proof.check(found);
  },
});

const noRecovery = { recover: () => undefined };

test.each<readonly [string, VolumeProof]>([
  [
    "a log on a disk",
    log({
      model: "ext4-ordered",
      commits: "asked",
      depth: 1,
      workload: ({ fs, ack }) => {
        fs.appendFileSync("/log", "one\n", { flush: true });
        ack("one\n");
      },
    }),
  ],
  ["a log in memory, that is lost", log({ model: "ext4-dax" })],
  ["a log that waits", waiting(log({ model: "ext4-ordered", commits: "asked", depth: 1 }))],
  [
    "steps of a log",
    log({
      model: "ext2",
      machine: { size: 1 << 19 },
      make: {},
      ...noRecovery,
      check: expectPrefix(),
    }),
  ],
])("whole verdicts are the same: %s", async (_, proof) => {
  const told: string[] = [];
  for (const remembers of REMEMBERINGS) {
    // oxlint-disable-next-line no-await-in-loop -- one at a time is quick enough
    const verdict = await proveVolume(proof, { remembers });
    told.push(
      JSON.stringify(verdict, (_key, value: unknown) =>
        typeof value === "bigint" ? `${value}` : value,
      ),
    );
  }
  const [everything, ...others] = told;
  expect(everything).toMatch(/"kind":"(?:Survived|Lost)"/u);
  expect(others).toEqual(others.map(() => everything));
});
