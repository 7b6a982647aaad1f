/**
 * Checks that need no writing: durability, atomicity, and that what is left is what some first part
 * of the program had made.
 *
 * @module
 */
import { type History, type Sight, seenAt, sightOf } from "./history.ts";
import type { VolumeCheck } from "./volume-proof.ts";

/** Characters of contents that are shown. */
const MOST_SHOWN = 40;

/**
 * What was at `path` when something was last promised is there, or what the program made of it
 * later; one file or directory, by its own contents and mode.
 */
export function expectDurable(path: string): VolumeCheck {
  const check: VolumeCheck = ({ fs, acked, history }) => {
    if (acked.length === 0) return undefined;
    const found = seenAt(fs, path);
    const allowed = allowedSights(history, acked.length).map((sight) => at(sight, path));
    if (allowed.includes(found)) return undefined;
    return `${path} is ${shown(found)}; promised was ${shown(allowed[0] ?? "absent")}`;
  };
  return Object.assign(check, { wantsHistory: true });
}

/**
 * The file at `path` holds `before` or `after`, whole, and nothing between; once anything was
 * promised, `after`. `undefined`: there is no file.
 */
export function expectAtomic(
  path: string,
  before: string | Uint8Array | undefined,
  after: string | Uint8Array | undefined,
): VolumeCheck {
  const [old, young] = [contentOf(before), contentOf(after)];
  return ({ fs, acked }) => {
    // Not existsSync, which takes what cannot be read for what is not there.
    const isThere = fs.statSync(path, { throwIfNoEntry: false }) !== undefined;
    const found = isThere ? fs.readFileSync(path, "latin1") : undefined;
    if (found === young || (found === old && acked.length === 0)) return undefined;
    const words = shownContent(found);
    if (found === old) return `${path} is ${words} still, though the new contents were promised`;
    return `${path} is ${words}: neither ${shownContent(old)} nor ${shownContent(young)}`;
  };
}

/**
 * The whole volume, names, kinds, modes and contents, is what it was after some step of the
 * program, no earlier than the last promise. For programs that never write over what is there. What
 * a flusher at work leaves (a file of its new size, and NULs) is the state of no step, and is not
 * asked about: a check of one's own sees that, too.
 */
export function expectPrefix(): VolumeCheck {
  const wants = { wantsHistory: true, wantsSteps: true };
  return Object.assign<VolumeCheck, typeof wants>((seen) => prefixIn(seen), wants);
}

function prefixIn({ fs, acked, history }: Parameters<VolumeCheck>[0]): string | undefined {
  const found = sightOf(fs);
  const allowed = allowedSights(history, acked.length);
  const reasons = allowed.map((sight) => difference(found, sight));
  if (reasons.includes(undefined)) return undefined;
  return `the volume is as after no step of the program: ${reasons[0] ?? "nothing is allowed"}`;
}

/** What may be there when the first so many promises were made. */
function allowedSights({ sights, promised }: History, acked: number): readonly Sight[] {
  const first = acked === 0 ? 0 : (promised[acked - 1] ?? 1) - 1;
  return sights.slice(Math.max(0, first));
}

function at(sight: Sight, path: string): string {
  return sight.get(path) ?? "absent";
}

function difference(found: Sight, wanted: Sight): string | undefined {
  for (const path of new Set([...found.keys(), ...wanted.keys()])) {
    const [is, was] = [at(found, path), at(wanted, path)];
    if (is !== was) return `${path} is ${shown(is)}, and was ${shown(was)}`;
  }
  return undefined;
}

function contentOf(content: string | Uint8Array | undefined): string | undefined {
  return content === undefined ? undefined : Buffer.from(content).toString("latin1");
}

function shownContent(content: string | undefined): string {
  return content === undefined ? "absent" : JSON.stringify(cut(content));
}

function shown(sight: string): string {
  const [, head, content] = /^(file \d+) ([^]*)$/u.exec(sight) ?? [];
  return head === undefined ? sight : `a ${head} of ${shownContent(content)}`;
}

function cut(text: string): string {
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text;
}
