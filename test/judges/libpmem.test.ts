/**
 * libpmem as a judge: the same copies, and the same opinion of what is persistent memory.
 */
import { closeSync, ftruncateSync, openSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { HostMapping } from "../../src/node/host-mapping.unsafe.ts";
import { functionIn, libc } from "../../src/node/libc.unsafe.ts";
import { cacheControl, cacheControls, fixedMemory } from "../../src/node/machine-code.unsafe.ts";
import { pattern } from "../conformance/media-cases.ts";
import { same } from "../support/bytes.ts";
import { answerOf } from "../support/child.ts";
import { places, scratch } from "../support/scratch.ts";
import { probed } from "./judge.ts";

const judge = probed(
  () => libc() !== undefined && functionIn("libpmem.so.1", "pmem_drain", "void", []) !== undefined,
  "apt-get install libpmem1, and the koffi package",
);

test.skipIf(judge.missing)(`[0.6] our copies leave what libpmem's leave${judge.hint}`, () => {
  const libpmem = cacheControls().at(-1)!.make()!;
  const ours = cacheControl()!;
  const left = fixedMemory(16384);
  const right = fixedMemory(16384);
  const source = pattern(8192, 9);
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 4095 }),
      fc.integer({ min: 0, max: 4096 }),
      fc.integer({ min: 0, max: 4096 }),
      (target, from, length) => {
        const bytes = source.subarray(from, from + length);
        ours.copy?.(left.address + target, bytes);
        libpmem.copy?.(right.address + target, bytes);
        ours.drain();
        libpmem.drain();
        expect(same(new Uint8Array(left.buffer), new Uint8Array(right.buffer))).toBe(true);
      },
    ),
    { numRuns: 300 },
  );
});

test.skipIf(judge.missing)(
  `libpmem finds persistent memory where we found MAP_SYNC${judge.hint}`,
  () => {
    const isPmem = functionIn("libpmem.so.1", "pmem_is_pmem", "int", ["uintptr_t", "size_t"])!;
    for (const folder of Object.values(places)) {
      const path = scratch(folder);
      const fd = openSync(path, "w+");
      ftruncateSync(fd, 1 << 20);
      const mapping = new HostMapping(libc()!, {
        fd,
        path,
        pieces: [{ start: 0, length: 1 << 20 }],
        shared: true,
        sync: true,
        faults: undefined,
      });
      expect(isPmem(mapping.address, mapping.length) === 1).toBe(mapping.synchronous);
      mapping.release();
      closeSync(fd);
    }
  },
);

test.skipIf(judge.missing)(`libpmem serves where executable pages are refused${judge.hint}`, () => {
  const result = answerOf("hardened", [scratch()], { node: ["--jitless"] });
  // Kernels before 6.3 cannot refuse them; then the CPU's own instructions are used.
  const { hardened } = result as { hardened: boolean };
  expect(result).toEqual({
    hardened,
    plain: "none",
    control: hardened ? "libpmem" : cacheControl()?.name,
    forced: "none",
  });
});
