/**
 * Checks and recoveries that wait for something: the same verdicts, on the same states.
 */
import { expect, test } from "vitest";
import { type VolumeProof, prove, stateOf } from "../../src/node/prove.ts";

const make = { inodes: 64 } as const;
const PLAIN: VolumeProof = {
  make,
  workload: ({ fs, ack }) => {
    fs.writeFileSync("/new", "text", { flush: true });
    fs.renameSync("/new", "/f");
    ack("made");
  },
  check: ({ fs, acked }) => acked.length === 0 || fs.existsSync("/f") || "it is gone",
};
const WAITING: VolumeProof = {
  ...PLAIN,
  check: async ({ fs, acked }) => {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    const found = await new Promise((resolve) => {
      fs.readdir("/", (_error, names) => resolve(names));
    });
    return acked.length === 0 || (found as string[]).includes("f") || "it is gone";
  },
};

test("a check that waits finds what one that does not wait finds", async () => {
  const [plain, waiting] = [await prove(PLAIN), await prove(WAITING)];
  if (plain.kind !== "Lost" || waiting.kind !== "Lost") throw new Error(waiting.kind);
  expect(waiting.space).toBe(plain.space);
  expect(waiting.failing).toBe(plain.failing);
  expect(waiting.state).toBe(plain.state);
  expect(waiting.missingCalls).toMatchObject([{ what: "directory", path: "/" }]);
  expect((await stateOf(WAITING, waiting.state)).said).toBe("it is gone");
});

test("with the missing call it survives, a recovery that waits and is cut included", async () => {
  const verdict = await prove({
    ...WAITING,
    model: "ext4-ordered",
    workload: ({ fs, ack }) => {
      fs.writeFileSync("/f", "text", { flush: true });
      ack("made");
    },
    recover: async ({ fs }) => fs.promises.writeFile("/log", "recovered", { flush: true }),
  });
  expect(verdict.kind).toBe("Survived");
});

test("one that does something else on the same state is not measured", async () => {
  let runs = 0;
  const verdict = await prove({
    ...WAITING,
    check: async ({ fs }) => {
      await fs.promises.stat(runs++ % 2 === 0 ? "/f" : "/");
      return runs < 2;
    },
  });
  expect(verdict.kind).not.toBe("Survived");
});
