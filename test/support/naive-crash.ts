/**
 * The crash model once more, as plainly as its rules can be written down and with nothing shared
 * with `src/crash`: all versions of all lines as whole images, every raw state built and run. It is
 * slow, and that is all that may be said against it.
 */
import type { Program } from "../../src/crash/program.ts";
import { ModelledMedia, type ModelledOptions } from "../../src/media/modelled.ts";
import { type Trace, TraceKind } from "../../src/media/trace.ts";

export type NaiveTorn = "prefix" | "atoms" | "line";

export interface NaiveTally {
  crashPoints: number;
  space: bigint;
  failing: bigint;
}

interface Instant {
  /** Every content of every line, in the order of the lines; equal ones are listed twice. */
  readonly lines: readonly (readonly Uint8Array[])[];
  readonly acked: number;
}

type Kind = "adr" | "through" | "combining" | "ordered" | "volatile";

function kindOfLine(media: ModelledMedia, options: ModelledOptions, line: number): Kind {
  const at = line * 64;
  const { domain } = media.domains.find((r) => r.start <= at && at < r.start + r.length)!;
  if (domain !== "adr") return domain === "eadr" ? "ordered" : "volatile";
  const caching = options.caching?.findLast(
    (r) => r.start <= at && at < r.start + r.length,
  )?.caching;
  if (caching === undefined || caching === "write-back") return "adr";
  if (caching === "write-combining") return "combining";
  return caching === "uncached" ? "ordered" : "through";
}

/** All instants at which power may go (rule 5), each with all contents of all lines (rule 4). */
export function instants(
  trace: Trace,
  initial: Uint8Array,
  options: ModelledOptions,
  torn: NaiveTorn,
): Instant[] {
  const media = new ModelledMedia(initial.length, options);
  const count = initial.length / 64;
  const kinds = Array.from({ length: count }, (_, line) => kindOfLine(media, options, line));
  const versions = kinds.map((kind, line) => [
    kind === "volatile" ? new Uint8Array(64) : initial.slice(line * 64, line * 64 + 64),
  ]);
  const marks = kinds.map(() => 0);
  const drained = versions.map(([first]) => first!.slice());
  const buffered: [at: number, bytes: Uint8Array][][] = kinds.map(() => []);
  let acked = 0;
  const found: Instant[] = [];
  const cut = () => found.push({ lines: versions.map((all) => all.slice()), acked });
  for (let event = 0; event < trace.count; event++) {
    const kind = trace.kindOf(event);
    const offset = trace.offsetOf(event);
    const length = trace.lengthOf(event);
    const firstLine = Math.floor(offset / 64);
    const lastLine = Math.floor((offset + length - 1) / 64);
    if (kind === TraceKind.ack) acked++;
    else if (kind === TraceKind.fence) {
      cut();
      for (let line = 0; line < count; line++) {
        versions[line]!.splice(0, marks[line]);
        marks[line] = 0;
        drained[line] = versions[line]!.at(-1)!.slice();
        buffered[line] = [];
      }
    } else if (kind === TraceKind.flush) {
      for (let line = firstLine; line <= lastLine; line++) {
        marks[line] = versions[line]!.length - 1;
      }
    } else {
      const data = trace.bytes.slice(trace.dataOf(event), trace.dataOf(event) + length);
      for (let line = firstLine; line <= lastLine; line++) {
        const all = versions[line]!;
        const from = Math.max(offset, line * 64);
        const to = Math.min(offset + length, line * 64 + 64);
        const atoms: [at: number, bytes: Uint8Array][] = [];
        for (let at = from; at < to;) {
          const next = Math.min(at - (at % 8) + 8, to);
          atoms.push([at - line * 64, data.slice(at - offset, next - offset)]);
          at = next;
        }
        const before = all.at(-1)!;
        const after = (chosen: typeof atoms) => {
          const bytes = before.slice();
          for (const [at, atom] of chosen) bytes.set(atom, at);
          return bytes;
        };
        if (kinds[line] === "volatile") continue;
        if (kinds[line] === "combining") {
          buffered[line]!.push(...atoms);
          versions[line] = combinations(drained[line]!, buffered[line]!);
          marks[line] = versions[line]!.length - 1;
          continue;
        }
        if (kinds[line] === "ordered") {
          for (let n = 1; n <= atoms.length; n++) {
            cut();
            all[0] = after(atoms.slice(0, n));
          }
          continue;
        }
        if (kind === TraceKind.store || torn === "prefix") {
          for (let n = 1; n <= atoms.length; n++) all.push(after(atoms.slice(0, n)));
        } else if (torn === "line") all.push(after(atoms));
        else {
          for (let subset = 1; subset < 2 ** atoms.length; subset++) {
            all.push(after(atoms.filter((_, i) => (subset >> i) % 2 === 1)));
          }
        }
        if (kind === TraceKind.copyNonTemporal || kinds[line] === "through") {
          marks[line] = all.length - 1;
        }
      }
    }
  }
  cut();
  return found;
}

/** Of each atom any of the values it was given, or none; what has all of them comes last. */
function combinations(
  base: Uint8Array<ArrayBuffer>,
  stores: readonly [number, Uint8Array][],
): Uint8Array<ArrayBuffer>[] {
  let found = [base.slice()];
  for (let atom = 0; atom < 64; atom += 8) {
    const own = stores.filter(([at]) => at >= atom && at < atom + 8);
    const more: Uint8Array<ArrayBuffer>[] = [];
    for (let count = 0; count <= own.length; count++) {
      for (const bytes of found) {
        const next = bytes.slice();
        for (const [at, value] of own.slice(0, count)) next.set(value, at);
        more.push(next);
      }
    }
    found = more;
  }
  return found;
}

function* images(lines: readonly (readonly Uint8Array[])[]): Generator<Uint8Array> {
  const digits = lines.map(() => 0);
  for (;;) {
    const image = new Uint8Array(lines.length * 64);
    for (const [line, digit] of digits.entries()) image.set(lines[line]![digit]!, line * 64);
    yield image;
    let line = 0;
    for (; line < lines.length; line++) {
      digits[line] = (digits[line]! + 1) % lines[line]!.length;
      if (digits[line] !== 0) break;
    }
    if (line === lines.length) return;
  }
}

/** How many raw states the trace has, over its crash points. */
export function naiveSpace(found: readonly Instant[]): bigint {
  let space = 0n;
  for (const { lines } of found) {
    space += lines.reduce((product, all) => product * BigInt(all.length), 1n);
  }
  return space;
}

/** Every raw state, run for itself; `depth` power cuts in a row. */
export function naiveTallies(
  trace: Trace,
  initial: Uint8Array,
  options: ModelledOptions,
  torn: NaiveTorn,
  program: Program,
  depth: number,
): NaiveTally[] {
  const tallies = Array.from({ length: depth }, () => ({
    crashPoints: 0,
    space: 0n,
    failing: 0n,
  }));
  const walk = (events: Trace, start: Uint8Array, level: number, labels?: readonly unknown[]) => {
    const tally = tallies[level]!;
    const found = instants(events, start, options, torn);
    tally.crashPoints += found.length;
    for (const { lines, acked } of found) {
      const promised = labels ?? events.labels.slice(0, acked);
      for (const image of images(lines)) {
        tally.space++;
        const media = new ModelledMedia(image.length, options);
        media.recorder.image.set(image);
        let bad = false;
        let recovered: unknown;
        let stores = 0;
        try {
          recovered = program.recover?.(media);
          stores = media.trace.stores;
        } catch {
          bad = true;
        }
        media.recorder.recording = false;
        try {
          if (!bad) {
            const said = program.check(media, promised, recovered);
            bad = said === false || (typeof said === "string" && said !== "");
          }
        } catch {
          bad = true;
        }
        if (bad) tally.failing++;
        if (stores > 0 && level + 1 < depth) walk(media.trace, image, level + 1, promised);
      }
    }
  };
  walk(trace, initial, 0);
  return tallies;
}

/**
 * The smallest counter-example of a single power cut: the fewest lines that do not hold their
 * newest content, and the first crash point at which so few are enough; `undefined` when nothing
 * fails.
 */
export function naiveSmallest(
  found: readonly Instant[],
  labels: readonly unknown[],
  options: ModelledOptions,
  program: Program,
): { lines: number; point: number } | undefined {
  let best: { lines: number; point: number } | undefined;
  for (const [point, { lines, acked }] of found.entries()) {
    for (const image of images(lines)) {
      const old = lines.filter((all, line) => {
        const newest = all.at(-1)!;
        return newest.some((byte, i) => byte !== image[line * 64 + i]);
      }).length;
      if (best !== undefined && old >= best.lines) continue;
      if (fails(program, image, options, labels.slice(0, acked))) best = { lines: old, point };
    }
  }
  return best;
}

function fails(
  program: Program,
  image: Uint8Array,
  options: ModelledOptions,
  acked: readonly unknown[],
): boolean {
  const media = new ModelledMedia(image.length, options);
  media.recorder.image.set(image);
  try {
    const said = program.check(media, acked, program.recover?.(media));
    return said === false || (typeof said === "string" && said !== "");
  } catch {
    return true;
  }
}
