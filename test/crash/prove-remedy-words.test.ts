/** What is said where no fsync mends a program, and of those that were not tried. */
import { describe, expect, test } from "vitest";
import { type VolumeProof, prove } from "../../src/node/prove.ts";
import { proveVolume } from "../../src/node/prove/volume-prover.ts";

const asked = { model: "ext4-ordered", commits: "asked" } as const;

async function whyOf(proof: Omit<VolumeProof, "model">): Promise<string> {
  const verdict = await prove({ ...asked, ...proof });
  if (verdict.kind !== "Lost") throw new Error(JSON.stringify(verdict));
  return verdict.noRemedy ?? "";
}

const setup: VolumeProof["setup"] = ({ fs }) => fs.writeFileSync("/f", "old");
const isWhole: VolumeProof["check"] = ({ fs }) =>
  ["old", "new"].includes(fs.readFileSync("/f", "utf8")) || "torn";

const isNew: VolumeProof["check"] = ({ fs, acked }) =>
  acked.length === 0 || fs.readFileSync("/f", "utf8") === "new" || "old";

describe("no fsync mends", () => {
  test("what is half done before anything is promised", async () => {
    const proof: Omit<VolumeProof, "model"> = {
      setup,
      check: isWhole,
      workload({ fs }) {
        fs.truncateSync("/f", 0);
        fs.fsyncSync(fs.openSync("/f", "r"));
        fs.writeFileSync("/f", "new", { flush: true });
      },
    };
    expect(await whyOf(proof)).toMatch(
      /^no fsync mends this: nothing was promised yet, .* rename it into place$/u,
    );
  });

  test("a promise that is made too early", async () => {
    const proof: Omit<VolumeProof, "model"> = {
      setup,
      check: isNew,
      workload({ fs, ack }) {
        ack("new");
        fs.writeFileSync("/f", "new", { flush: true });
      },
    };
    expect(await whyOf(proof)).toMatch(/: the order of the calls, or/u);
  });

  test("what recovery does in the wrong order", async () => {
    const proof: Omit<VolumeProof, "model"> = {
      setup,
      depth: 2,
      workload({ fs, ack }) {
        fs.writeFileSync("/redo", "new", { flush: true });
        ack("new");
      },
      recover({ fs }) {
        if (!fs.existsSync("/redo")) return;
        fs.unlinkSync("/redo");
        fs.fsyncSync(fs.openSync("/", "r"));
        fs.writeFileSync("/f", "new");
      },
      check: isNew,
    };
    const once = await prove({ ...asked, ...proof, depth: 1 });
    expect(once.kind).toBe("Survived");
    expect(await whyOf(proof)).toMatch(/: power was cut in recovery too; look at/u);
  });
});

test("more places of fsync than are tried, where checks are commands, are told", async () => {
  const commands = { settle: async <T>(body: () => T | Promise<T>) => body() };
  const verdict = await proveVolume(
    {
      ...asked,
      depth: 1,
      workload({ fs, ack }) {
        const fd = fs.openSync("/f", "w");
        fs.fsyncSync(fd);
        ack("f");
        // Each is a place of its own.
        for (const again of [
          () => fs.fsyncSync(fd),
          () => fs.fsyncSync(fd),
          () => fs.fsyncSync(fd),
          () => fs.fsyncSync(fd),
          () => fs.fsyncSync(fd),
          () => fs.fsyncSync(fd),
          () => fs.fsyncSync(fd),
          () => fs.fsyncSync(fd),
          () => fs.fsyncSync(fd),
          () => fs.fsyncSync(fd),
          () => fs.fsyncSync(fd),
          () => fs.fsyncSync(fd),
          () => fs.fsyncSync(fd),
        ]) {
          again();
        }
      },
      check: ({ fs, acked }) => acked.length === 0 || fs.existsSync("/f") || "gone",
    },
    commands,
  );
  expect(verdict).toMatchObject({
    kind: "Survived",
    notes: ["2 more places of fsync were not left out to see whether every state survives"],
  });
});
