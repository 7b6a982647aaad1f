/**
 * The generator's workloads on the ext driver: in every state that a power cut may leave, what was
 * made durable is there, and nothing is damaged.
 */
import { describe, expect, test, vi } from "vitest";
import { aceWorkloads, countAceWorkloads } from "../../src/crash/ace/generator.ts";
import { type AceSuiteOptions, AceSuite, runAce } from "../../src/crash/ace/suite.ts";
import { randomWorkload } from "../../src/crash/ace/random.ts";
import { shrinkWorkload } from "../../src/crash/ace/shrink.ts";
import { type Workload, parseWorkload, workloadText } from "../../src/crash/ace/workload.ts";

/** What did not survive, and how many states there were. */
function run(options: AceSuiteOptions, workloads: Iterable<Workload>) {
  const suite = new AceSuite(options);
  const lost: string[] = [];
  let states = 0n;
  for (const workload of workloads) {
    const verdict = suite.run(workload);
    states += verdict.states;
    if (verdict.kind !== "Survived") lost.push(`${workloadText(workload)}: ${verdict.said}`);
  }
  return { lost, states };
}

describe.each(["ext2", "ext4"] as const)("%s", (filesystem) => {
  test("seq-1 survives as a whole", () => {
    const options = { filesystem, length: 1, persist: "range" } as const;
    const { lost, states } = run({ filesystem }, aceWorkloads(options));
    expect(lost).toEqual([]);
    expect(states).toBeGreaterThan(1000n);
  });

  test("longer ones by chance do, too", () => {
    const options = { filesystem, least: 3, length: 6 };
    const workloads = Array.from({ length: 30 }, (_, seed) => randomWorkload(seed, options));
    expect(run({ filesystem }, workloads).lost).toEqual([]);
  });
});

test("a recovery that is cut in its turn", () => {
  const texts = [
    "creat /foo, fsync /foo",
    "mkdir /A, creat /foo, write /foo append | rename /foo /A/bar, fsync /A, unlink /A/bar, sync",
  ];
  const { lost, states } = run({ filesystem: "ext4", depth: 2 }, texts.map(parseWorkload));
  expect(lost).toEqual([]);
  expect(states).toBeGreaterThan(run({ filesystem: "ext4" }, texts.map(parseWorkload)).states);
});

describe("what is wrong is found", () => {
  test.each(["ext2", "ext4"] as const)("%s on a disk whose flush does nothing", (filesystem) => {
    const suite = new AceSuite({ filesystem });
    const { machine } = suite;
    const device = machine.device.bind(machine);
    vi.spyOn(machine, "device").mockImplementation((media) => {
      const disk = device(media);
      vi.spyOn(disk, "flush").mockReturnValue();
      return disk;
    });
    const workload = parseWorkload("creat /foo, write /foo append, fsync /foo");
    expect(suite.run(workload).kind).toBe("Lost");
    const shrunk = shrinkWorkload(workload, (one) => suite.run(one).kind === "Lost");
    expect(shrunk.steps.length).toBe(2);
  });

  test("what was never made durable is no loss, and what a call cannot do is told", () => {
    expect(runAce(parseWorkload("creat /foo, write /foo append"), { filesystem: "ext4" })).toEqual(
      expect.objectContaining({ kind: "Survived" }),
    );
    const refused = runAce(parseWorkload("unlink /foo, sync"), { filesystem: "ext4" });
    expect(refused).toMatchObject({ kind: "Refused", said: expect.stringMatching(/ENOENT/u) });
  });
});

describe("the generator", () => {
  test("makes each workload once, and counts them", () => {
    for (const filesystem of ["ext2", "ext4"] as const) {
      const options = { filesystem, length: 2 };
      const texts = new Set<string>();
      for (const workload of aceWorkloads(options)) texts.add(workloadText(workload));
      expect(texts.size).toBe(countAceWorkloads(options));
      expect(texts.size).toBeGreaterThan(20_000);
    }
  });

  test("ends each with something that is made durable, and names all that ext has", () => {
    const names = new Set<string>();
    for (const { steps } of aceWorkloads({ filesystem: "ext4", length: 1 })) {
      for (const step of steps) names.add(step.do);
      expect(["sync", "fsync", "fdatasync", "msync"]).toContain(steps.at(-1)?.do);
    }
    const wanted =
      "creat mkdir rmdir link symlink unlink rename setxattr removexattr write mmapwrite " +
      "truncate falloc sync fsync fdatasync msync";
    expect([...names].toSorted()).toEqual(wanted.split(" ").toSorted());
  });

  test("finds the workloads of the field's known bugs", () => {
    const texts = new Set<string>();
    for (const { steps } of aceWorkloads({ filesystem: "ext4", length: 2 })) {
      texts.add(workloadText({ setup: [], steps }));
    }
    for (const known of [
      "write /foo append, sync, falloc /foo keep append, fdatasync /foo",
      "rename /foo /bar, creat /foo, fsync /foo",
      "link /foo /bar, sync, unlink /bar, fsync /foo",
      "setxattr /foo, sync, removexattr /foo, fsync /foo",
    ]) {
      expect(texts).toContain(known);
    }
  });

  test("a seed gives the same workload, another seed another one", () => {
    const options = { filesystem: "ext4", length: 4 } as const;
    const texts = Array.from({ length: 50 }, (_, i) => workloadText(randomWorkload(i, options)));
    expect(workloadText(randomWorkload(7, options))).toBe(texts[7]);
    expect(new Set(texts).size).toBe(50);
  });
});

describe("a workload in one line", () => {
  test("reads back as it was written", () => {
    for (let seed = 0; seed < 200; seed++) {
      const text = workloadText(randomWorkload(seed, { filesystem: "ext4", length: 5 }));
      expect(workloadText(parseWorkload(text))).toBe(text);
    }
  });

  test.each([
    "creat",
    "creat foo",
    "write /foo here",
    "a | b | c",
    "sync | creat /foo",
    "chmod /f",
  ])("%s is none", (text) => {
    expect(() => parseWorkload(text)).toThrow(expect.objectContaining({ code: "EINVAL" }));
  });
});

test("shrinking leaves what matters", () => {
  const workload = randomWorkload(3, { filesystem: "ext4", length: 8 });
  const longer = { ...workload, steps: [...workload.steps, { do: "rmdir", path: "/A" } as const] };
  expect(workloadText(shrinkWorkload(longer, removes))).toBe("rmdir /A");
});

function removes({ steps }: Workload): boolean {
  return steps.some((step) => step.do === "rmdir");
}
