/**
 * Laws of the NBD session: what it says does not depend on how its bytes arrive, and it says what a
 * server says that was written down from the specification in the plainest way.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Prng } from "../../src/lib/prng.ts";
import { openSession, resumeSession } from "../../src/nbd/session.ts";
import type { SessionTerms } from "../../src/nbd/session-contract.ts";
import { noise, same } from "../support/bytes.ts";
import { ToyStore, type ToyStoreOptions } from "../support/nbd-store.ts";
import {
  CLIENT_FLAGS,
  Decoder,
  type Reply,
  type Sent,
  contexts,
  directoryOf,
  drive,
  info,
  join,
  option,
  request,
} from "../support/nbd-wire.ts";

const SIZE = 64 * 1024;
const [READ, WRITE, FLUSH, TRIM, CACHE, ZEROES, STATUS] = [0, 1, 3, 4, 5, 6, 7] as const;
const [EPERM, EINVAL, ENOSPC] = [1, 22, 28];
const PAYLOAD = 32;

/** Requests, most of them good. */
function requestsOf(prng: Prng, extended: boolean): Sent[] {
  return Array.from({ length: 1 + prng.below(30) }, (_, i) => {
    const unit = prng.pick([1, 512, 512, 4096]);
    const offset = prng.below(SIZE / unit + 2) * unit;
    const length = prng.below(40_960 / unit + 1) * unit;
    const type = prng.pick([READ, READ, WRITE, WRITE, FLUSH, TRIM, CACHE, ZEROES, STATUS, 8, 99]);
    const flags = prng.below(4) === 0 ? 1 << prng.below(7) : 0;
    const head = { type, flags, cookie: BigInt(i) };
    if (type === FLUSH && prng.below(8) > 0) return head;
    if (type !== WRITE) return { ...head, offset, length, flags: flags & ~PAYLOAD };
    return { ...head, offset, flags: flags | (extended ? PAYLOAD : 0), payload: noise(i, length) };
  });
}

const seeds = fc.integer({ min: 0, max: 2 ** 31 });

const FLAGS: Readonly<Record<number, number>> = {
  [READ]: 1 | 4,
  [WRITE]: 1,
  [FLUSH]: 1,
  [TRIM]: 1,
  [CACHE]: 1,
  [ZEROES]: 1 | 2 | 16,
  [STATUS]: 1 | 8,
};

/** The error that the specification asks for, in its own order of sentences. */
function expectedError(sent: Sent, store: ToyStore, form: SessionTerms["replies"]): number {
  const length = Number(sent.length ?? sent.payload?.length ?? 0);
  const offset = Number(sent.offset ?? 0);
  const { minimum } = store.blockSizes;
  const writing = [WRITE, TRIM, ZEROES].includes(sent.type as 1);
  if (!(sent.type in FLAGS)) return EINVAL;
  if (sent.type === STATUS && form === "simple") return EINVAL;
  if (writing && store.readOnly) return EPERM;
  let allowed = FLAGS[sent.type] ?? 0;
  if (store.readOnly) allowed &= ~1;
  if (form === "simple") allowed &= ~4;
  if (sent.type === WRITE && form === "extended") allowed |= PAYLOAD;
  if (((sent.flags ?? 0) & ~allowed) !== 0) return EINVAL;
  if (sent.type === FLUSH) return offset + length === 0 ? 0 : EINVAL;
  if (length === 0) return EINVAL;
  if (offset + length > SIZE) return sent.type === WRITE || sent.type === ZEROES ? ENOSPC : EINVAL;
  return offset % minimum === 0 && length % minimum === 0 ? 0 : EINVAL;
}

/** What a command leaves in memory. */
function apply(memory: Uint8Array, sent: Sent): void {
  const offset = Number(sent.offset ?? 0);
  if (sent.type === WRITE) memory.set(sent.payload as Uint8Array, offset);
  if (sent.type !== TRIM && sent.type !== ZEROES) return;
  memory.fill(0, offset, offset + Number(sent.length));
}

/** The bytes of a reply's chunks, put together. */
function assembled(replies: readonly Reply[], { offset, length }: Sent): Uint8Array {
  const data = new Uint8Array(Number(length));
  for (const reply of replies) {
    const at = reply.kind === "simple" ? 0 : reply.offset - Number(offset);
    data.set(reply.data, at);
  }
  return data;
}

function optionsOf(prng: Prng): ToyStoreOptions {
  const minimum = prng.pick([1, 1, 512, 4096]);
  const direct = prng.below(2) === 0;
  const shape = { direct, readOnly: prng.below(6) === 0, sparse: prng.below(3) === 0 };
  return { ...shape, blockSizes: { minimum, preferred: 4096 } };
}

function sizesOf(prng: Prng): number[] {
  const most = prng.pick([3, 40, 5000, 70_000]);
  return Array.from({ length: 1 + prng.below(6) }, () => 1 + prng.below(most));
}

/** Direct data are shown as they are when they are sent: a later write may have come before. */
function isLater(requests: readonly Sent[], sent: Sent): boolean {
  const after = requests.slice(requests.indexOf(sent) + 1);
  return after.some(({ type }) => type === WRITE || type === TRIM || type === ZEROES);
}

/** What a session said to requests that a naive server would not have said. */
function differences(seed: number, form: SessionTerms["replies"]): string[] {
  const prng = new Prng(seed);
  const store = new ToyStore(SIZE, optionsOf(prng));
  const memory = noise(seed, SIZE);
  store.write(0, memory);
  const names = form === "simple" ? [] : ["base:allocation"];
  const session = resumeSession({ name: "", store }, { replies: form, contexts: names });
  const requests = requestsOf(prng, form === "extended");
  const bytes = join(...requests.map((sent) => request(sent, form === "extended")));
  const how = { sizes: sizesOf(prng), media: store.bytes, lands: prng.below(2) === 0 };
  const decoder = new Decoder(drive(session, bytes, how).said);
  const wrong: string[] = [];
  for (const sent of requests) {
    const replies: Reply[] = [];
    const length = sent.type === READ ? Number(sent.length) : 0;
    do replies.push(decoder.reply(() => length));
    while (replies.at(-1)?.done === false);
    const { cookie, error } = replies.at(-1) as Reply;
    const expected = expectedError(sent, store, form);
    if (cookie !== sent.cookie) wrong.push(`${cookie} answered, not ${sent.cookie}`);
    if (error !== expected) wrong.push(`${cookie}: error ${error}, not ${expected}`);
    if (expected !== 0) continue;
    apply(memory, sent);
    if (sent.type !== READ || isLater(requests, sent)) continue;
    const offset = Number(sent.offset);
    const wanted = memory.subarray(offset, offset + length);
    if (!same(assembled(replies, sent), wanted)) wrong.push(`${cookie}: other data`);
  }
  if (decoder.left > 0) wrong.push(`${decoder.left} bytes more than replies`);
  if (!same(store.bytes, memory)) wrong.push("memory is not what the requests make of it");
  return wrong;
}

test.each(["simple", "structured", "extended"] as const)(
  "a session answers as a naive server does, with %s replies",
  (form) => {
    const agrees = (seed: number): void => {
      expect(differences(seed, form)).toEqual([]);
    };
    fc.assert(fc.property(seeds, agrees), { numRuns: 60 });
  },
);

/** What is said to a whole conversation that arrives in pieces of these sizes. */
function spoken(bytes: Uint8Array, shape: ToyStoreOptions, sizes: number[]): Uint8Array {
  const store = new ToyStore(SIZE, shape);
  const driven = drive(openSession(directoryOf({ name: "disk", store })), bytes, { sizes });
  return join(driven.said, store.bytes, Uint8Array.of(driven.used & 255, driven.used >> 8));
}

/** Whether whole conversations and conversations in pieces come to the same. */
function saysTheSame(seed: number): boolean {
  const prng = new Prng(seed);
  const form = prng.pick([[], [option(8)], [option(11)]]);
  const extended = form[0]?.[11] === 11;
  const requests = requestsOf(prng, extended).map((sent) => request(sent, extended));
  const set = contexts(10, "disk", ["base:allocation"]);
  const haggling = [option(3), option(77, noise(1, 300)), ...form, set, info(6, "", [3])];
  const bytes = join(CLIENT_FLAGS, ...haggling, info(7, "disk", [3]), ...requests);
  const shape = { ...optionsOf(prng), direct: false };
  const whole = spoken(bytes, shape, [bytes.length]);
  const pieces = [[1], sizesOf(prng), sizesOf(prng)];
  return pieces.every((sizes) => same(spoken(bytes, shape, sizes), whole));
}

test("a session says the same however its bytes arrive", () => {
  fc.assert(fc.property(seeds, saysTheSame), { numRuns: 40 });
});
