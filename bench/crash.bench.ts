/**
 * Crash states: how many raw ones are enumerated a second, each an array of bytes that somebody
 * could look at, and how many leaves the exact explorer checks a second (recovery and check of the
 * log that is right, both on modelled memory). No peer does the latter in JavaScript, so there is
 * no ratio; the figures published for others are in bench/README.md.
 */
import right from "../examples/log-right.ts";
import { CrashImage } from "../src/crash/crash-image.ts";
import { explore } from "../src/crash/explorer.ts";
import { Frontier } from "../src/crash/frontier.ts";
import { explorationOf } from "../src/crash/prover.ts";
import { RawStates } from "../src/crash/raw-states.ts";
import { ModelledMedia } from "../src/media/modelled.ts";
import { race, report } from "./measure.ts";
import { cpuOf } from "./prove-subjects.ts";

/** Sixteen lines with one store of a word each: 65,536 states at the only crash point. */
function sixteenLines(): ModelledMedia {
  const media = new ModelledMedia(1024);
  const { memory } = media.window(0);
  for (let line = 0; line < 16; line++) memory.setBigUint64(line * 64, 1n);
  return media;
}

const media = sixteenLines();
const frontier = new Frontier({
  image: new CrashImage(new Uint8Array(media.size)),
  trace: media.trace,
  classes: media.classes,
  torn: "prefix",
  level: 0,
});
let touched = 0;
for (const { space } of frontier.points()) {
  const states = new RawStates(frontier, new Uint8Array(media.size), media.trace, "prefix");
  const visitSome = (limit: number): number => {
    let left = limit;
    return states.visit((bytes) => {
      touched += bytes[left & 1023] as number;
      return --left > 0;
    });
  };
  const [visit = 0] = race({
    name: "visit",
    run(times) {
      let sum = 0;
      const { bytes } = states;
      // The space is walked from its start as often as it takes.
      for (let left = times; left > 0; left -= visitSome(left)) sum += bytes[left & 1023] as number;
      return sum;
    },
  });
  report({
    what: "raw crash states enumerated",
    figure: `${(1000 / visit).toFixed(1)} M/s`,
    target: "at least 1 M/s",
    met: 1000 / visit >= 1,
    detail: `${visit.toFixed(0)} ns a state, one byte of it read; ${space} states in the space`,
  });
}

const exploration = explorationOf(right);
const leavesOf = (): number =>
  explore(exploration).tallies.reduce((sum, { leaves }) => sum + leaves, 0);
/** Explorations that are timed together, after as many that compile them. */
const TIMES = 300;
const many = (): number => cpuOf(() => Array.from({ length: TIMES }, leavesOf)).ms / TIMES;
const leaves = leavesOf();
many();
const whole = Math.min(many(), many(), many());
report({
  what: "leaves of the log example, recovered and checked exactly, a CPU second",
  figure: `${(leaves / whole).toFixed(0)} k/s`,
  target: "a figure, no bound",
  met: leaves > 0,
  detail: `${leaves} leaves, ${(whole * 1000).toFixed(0)} µs for the whole exploration`,
});
