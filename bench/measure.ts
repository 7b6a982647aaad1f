/**
 * Measuring side by side: ours and a peer take turns in short rounds of one process, and the
 * medians are compared, so that a noisy machine is noisy for both.
 */

/** One thing to time: `run(n)` does the operation `n` times. */
export interface Subject {
  readonly name: string;
  run(times: number): unknown;
}

/** What a bench file reports; `npm run bench` collects these lines. */
export interface Result {
  readonly what: string;
  /** How the figure reads: `3.1x`, `12 ms`, `4.2 M/s`. */
  readonly figure: string;
  readonly target: string;
  readonly met: boolean;
  readonly detail: string;
}

const ROUND_MS = 12;
const ROUNDS = 21;

function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** How many times to run so that a round takes about {@link ROUND_MS}; warms the code up, too. */
function calibrate(subject: Subject): number {
  for (let times = 1; ; times *= 2) {
    const start = now();
    subject.run(times);
    if (now() - start >= ROUND_MS / 2) return times * 2;
  }
}

/** The middle of the values; the mean of the two middles for an even count. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}

/** Median nanoseconds an operation of each subject, in interleaved rounds. */
export function race(...subjects: readonly Subject[]): number[] {
  const times = subjects.map(calibrate);
  const samples: number[][] = subjects.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, subject] of subjects.entries()) {
      const start = now();
      subject.run(times[i] as number);
      samples[i]?.push(((now() - start) * 1e6) / (times[i] as number));
    }
  }
  return samples.map(median);
}

/** Median milliseconds of whole runs, in turns; for things too long to repeat by the thousand. */
export async function raceWhole(
  rounds: number,
  ...subjects: readonly { readonly name: string; run(): unknown }[]
): Promise<number[]> {
  const samples: number[][] = subjects.map(() => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [i, subject] of subjects.entries()) {
      const start = now();
      // One after the other on purpose: they share the machine.
      // oxlint-disable-next-line no-await-in-loop
      await subject.run();
      if (round > 0) samples[i]?.push(now() - start);
    }
  }
  return samples.map(median);
}

/** Prints a result for `npm run bench` to collect. */
export function report(result: Result): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
