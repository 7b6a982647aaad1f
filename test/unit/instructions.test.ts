/**
 * The emitted code, run: which lines it visits, and what its copies leave, for every alignment.
 */
import { expect, test } from "vitest";
import { type LineInstruction, x86Drain, x86Flush } from "../../src/node/instructions.ts";
import { functionAt, libc } from "../../src/node/libc.unsafe.ts";
import {
  type CacheControl,
  cacheControl,
  cacheControls,
  emit,
  fixedMemory,
} from "../../src/node/machine-code.unsafe.ts";
import { pattern } from "../conformance/media-cases.ts";
import { same } from "../support/bytes.ts";

const unable = libc() === undefined || process.arch !== "x64";
const why = unable ? " (needs the koffi package on x86-64)" : "";

/** In the place of a write-back: adds 1 to the first byte of the line, `inc byte ptr [rdi]`. */
const count: LineInstruction = { atRdi: [0xfe, 0x07], atR8: [0x41, 0xfe, 0x00] };

/** Lines of a field of 16 that the run of bytes touches, by arithmetic on single bytes. */
function touched(ranges: readonly (readonly [number, number])[]): number[] {
  const lines = Array.from({ length: 16 }, () => 0);
  for (const [start, length] of ranges) {
    const bytes = Array.from({ length }, (_, i) => start + i);
    for (const line of new Set(bytes.map((byte) => byte >> 6))) lines[line]!++;
  }
  return lines;
}

test.skipIf(unable)(
  `a flush visits each line it touches once, start rounded down and end up${why}`,
  () => {
    const { address, buffer } = fixedMemory(4096);
    const bytes = new Uint8Array(buffer);
    const flush = functionAt(emit(x86Flush(count)), "void", ["uintptr_t", "size_t"]);
    for (let start = 0; start < 64; start++) {
      for (const length of [1, 2, 63, 64, 65, 127, 128, 129, 640]) {
        bytes.fill(0);
        flush(address + start, length);
        const visited = Array.from({ length: 16 }, (_, line) => bytes[line * 64]!);
        expect(visited).toEqual(touched([[start, length]]));
      }
    }
  },
);

test.skipIf(unable)(
  `a drain visits the lines of every range that waits, and only those${why}`,
  () => {
    const field = fixedMemory(4096);
    const block = fixedMemory(4096);
    const bytes = new Uint8Array(field.buffer);
    const queue = new Float64Array(block.buffer);
    const drain = functionAt(emit(x86Drain(count, block.address)), "void", []);
    const ranges = [
      [0, 1],
      [60, 8],
      [700, 64],
      [448, 64],
    ] as const;
    for (let waiting = 0; waiting <= ranges.length; waiting++) {
      bytes.fill(0);
      queue[0] = waiting;
      for (const [i, [start, length]] of ranges.entries()) {
        queue[2 + 2 * i] = field.address + start;
        queue[3 + 2 * i] = length;
      }
      drain();
      const visited = Array.from({ length: 16 }, (_, line) => bytes[line * 64]!);
      expect(visited).toEqual(touched(ranges.slice(0, waiting)));
    }
  },
);

/** Copies of every alignment of target and length, a few of the source, with guards around. */
function copiesRight(control: CacheControl): string[] {
  const { address, buffer } = fixedMemory(8192);
  const bytes = new Uint8Array(buffer);
  const source = pattern(2048, 5);
  const lengths = [0, 1, 2, 3, 7, 8, 15, 16, 63, 64, 65, 100, 127, 128, 129, 192, 255, 256, 1000];
  const want = new Uint8Array(8192);
  const wrong: string[] = [];
  for (let target = 64; target < 128; target++) {
    for (const length of lengths) {
      const from = (target * 7 + length) % 64;
      bytes.fill(0xee);
      want.fill(0xee);
      want.set(source.subarray(from, from + length), target);
      control.copy?.(address + target, source.subarray(from, from + length));
      control.drain();
      if (!same(bytes, want)) wrong.push(`${length} bytes to ${target} from ${from}`);
    }
  }
  return wrong;
}

const controls = cacheControls();

test(`[0.23] a strategy for each architecture, the best first${why}`, () => {
  const names = controls.map(({ name }) => name);
  expect(names.at(-1)).toBe(libc() === undefined ? undefined : "libpmem");
  expect(cacheControl()?.name).toBe(names[0]);
  const ranks = ["clwb", "clflushopt", "clflush", "dc cvap", "dc cvac", "libpmem"];
  expect(names.map((name) => ranks.indexOf(name))).not.toContain(-1);
  expect(names.toSorted((a, b) => ranks.indexOf(a) - ranks.indexOf(b))).toEqual(names);
});

for (const { name, make } of controls) {
  const control = make();
  const absent = control === undefined ? " (apt-get install libpmem1)" : "";
  test.skipIf(control === undefined)(`[0.6] [0.21] ${name}: copies are whole${absent}`, () => {
    expect(copiesRight(control!)).toEqual([]);
  });

  test.skipIf(control === undefined)(`${name}: flushes of any size leave the bytes alone`, () => {
    const { address, buffer } = fixedMemory(65536);
    const bytes = new Uint8Array(buffer);
    bytes.set(pattern(65536));
    for (let i = 0; i < 300; i++) control!.flush(address + i * 7, 1 + i);
    control!.flush(address, 65536);
    control!.flush(address, 0);
    control!.drain();
    control!.drain();
    expect(same(bytes, pattern(65536))).toBe(true);
  });
}
