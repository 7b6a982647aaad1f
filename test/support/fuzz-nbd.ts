/**
 * Mutated conversations with an NBD server: haggling and commands, most of them well formed, then
 * damaged, cut into pieces, and driven as every kind of transport would drive them. The store holds
 * the session to its promises, and every queue of replies is looked over.
 */
import { assert } from "../../src/lib/errno.ts";
import type { Prng } from "../../src/lib/prng.ts";
import type { ExportDirectory } from "../../src/nbd/export.ts";
import { PIECE_ARENA, PIECE_STORE, ReplyQueue } from "../../src/nbd/reply-queue.ts";
import type { ServerSession } from "../../src/nbd/session-contract.ts";
import { openSession, resumeSession } from "../../src/nbd/session.ts";
import { MOST_BYTES, Script } from "./fuzz-nbd-script.ts";
import { exportOf, SIZE } from "./fuzz-nbd-store.ts";
import type { CaseNotes, FuzzSubject, FuzzTarget } from "./fuzz.ts";

/** Scratch memory that so small an export can need. */
const MOST_SCRATCH = 4 << 20;

const NAMES = ["", "dirty", "blocks", "sealed", "none", "\u0000", "ü"];
const QUERIES = ["base:allocation", "daxkit:dirty", "base:", "daxkit:", "x:", "", "qemu:"];
const OPTIONS = [1, 2, 3, 4, 5, 6, 7, 7, 7, 8, 8, 9, 10, 10, 11, 12, 99];
/** Options on the straight way into transmission, in order. */
const STRAIGHT = [8, 11, 10, 6, 7];
const COMMANDS = [0, 0, 0, 1, 1, 1, 2, 3, 4, 5, 6, 7, 7, 8, 200];
const NASTY = [0, 1, 2, 28, 32, 255, 4095, 4096, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];

class NbdSubject implements FuzzSubject {
  readonly #exports = [
    exportOf("disk", { direct: true }),
    exportOf("dirty", {}),
    exportOf("blocks", { minimum: 512 }),
    exportOf("sealed", { readOnly: true, holes: true }),
    exportOf("sparse", { holes: true, direct: true }),
  ];
  readonly #directory: ExportDirectory = {
    list: () => this.#exports,
    find: (name) =>
      name === "" ? this.#exports[0] : this.#exports.find((one) => one.name === name),
  };
  readonly #queue = new ReplyQueue();
  readonly #script = new Script();
  /** What is left of a transport's staging. */
  #from = 0;
  #to = 0;

  run(prng: Prng, notes: CaseNotes): string {
    this.#queue.clear();
    this.#write(prng, notes);
    const bad = prng.below(4) === 0 ? prng.u32() : 0;
    for (const { store, dirty } of this.#exports) {
      store.bad = bad;
      dirty?.clear();
    }
    const session = this.#open(prng, notes);
    const ended = this.#drive(session, prng, notes);
    if (ended.fault !== undefined) notes.errors.push(ended.fault.code);
    return ended.state;
  }

  /** Haggling may be done already: half of the cases are about commands. */
  #open(prng: Prng, notes: CaseNotes): ServerSession {
    const replies = this.#queue;
    if (this.#haggles) {
      const tls = prng.pick(["off", "off", "off", "allowed", "required"] as const);
      notes.say(`tls ${tls}`);
      return openSession(this.#directory, { tls, replies });
    }
    const target = prng.pick(this.#exports);
    const form = this.#extended ? "extended" : prng.pick(["simple", "structured"] as const);
    const contexts = form === "simple" ? [] : ["base:allocation"];
    if (contexts.length > 0 && target.dirty !== undefined) contexts.push("daxkit:dirty");
    notes.say(`transmission of ${target.name}, ${form}`);
    return resumeSession(target, { replies: form, contexts }, replies);
  }

  #haggles = false;
  #extended = false;

  #write(prng: Prng, notes: CaseNotes): void {
    const script = this.#script;
    script.clear();
    this.#haggles = prng.below(2) === 0;
    this.#extended = prng.below(3) === 0;
    if (this.#haggles) {
      script.u32(prng.below(20) === 0 ? prng.u32() : prng.below(4));
      const straight = prng.below(2) === 0;
      const count = straight ? STRAIGHT.length : prng.below(8);
      for (let i = 0; i < count; i++) {
        const type = straight ? (STRAIGHT[i] as number) : prng.pick(OPTIONS);
        if (!straight || type !== 11 || this.#extended) this.#writeOption(prng, type);
      }
    }
    const commands = prng.below(12);
    for (let i = 0; i < commands; i++) this.#writeRequest(prng, i);
    const damages = prng.pick([0, 0, 1, 1, 2, 5]);
    for (let i = 0; i < damages; i++) this.#damage(prng, notes);
  }

  #writeOption(prng: Prng, type: number): void {
    const script = this.#script;
    const name = prng.below(3) > 0 ? "" : prng.pick(NAMES);
    script.option(type, () => {
      if (type === 1) script.text(name);
      else if (type === 6 || type === 7) {
        script.counted(name);
        const kinds = prng.below(4);
        script.u16(kinds);
        for (let i = 0; i < kinds; i++) script.u16(prng.below(5));
      } else if (type === 9 || type === 10) {
        script.counted(name);
        const queries = prng.below(4);
        script.u32(queries);
        for (let i = 0; i < queries; i++) script.counted(prng.pick(QUERIES));
      } else if (prng.below(8) === 0) script.u32(prng.u32());
    });
  }

  #writeRequest(prng: Prng, cookie: number): void {
    const script = this.#script;
    if (!script.hasRoom(0)) return;
    const type = prng.pick(COMMANDS);
    const unit = prng.pick([1, 512, 4096]);
    const offset = prng.below(12) === 0 ? this.#nasty(prng) : prng.below(SIZE / unit) * unit;
    const most = prng.below(16) === 0 ? SIZE : 3000;
    let length =
      prng.below(12) === 0 ? this.#nasty(prng) : prng.below(Math.ceil(most / unit)) * unit;
    const extended = this.#extended;
    const asks = type === 7 && extended && prng.below(2) === 0;
    const sends = type === 1 || asks || (extended && prng.below(20) === 0);
    if (sends && asks) length = 8 + 4 * prng.below(4);
    const flags = (prng.below(3) === 0 ? 1 << prng.below(6) : 0) | (sends && extended ? 32 : 0);
    script.message();
    script.u32(extended ? 0x21e41c71 : 0x25609513);
    script.u16(type === 3 && prng.below(2) === 0 ? 0 : flags);
    script.u16(type);
    script.u64(cookie);
    const still = type === 3 && prng.below(4) > 0;
    script.u64(still ? 0 : offset);
    if (extended) script.u64(still ? 0 : length);
    else script.u32(still ? 0 : Math.min(length, 2 ** 32 - 1));
    if (!sends || !script.hasRoom(length)) return;
    if (asks) this.#writeStatusPayload(prng, length);
    else script.fill(cookie, length);
  }

  #writeStatusPayload(prng: Prng, length: number): void {
    this.#script.u64(prng.below(4) === 0 ? this.#nasty(prng) : 1 + prng.below(SIZE));
    for (let at = 8; at < length; at += 4) this.#script.u32(prng.below(4));
  }

  #nasty(prng: Prng): number {
    return prng.pick(NASTY) * prng.pick([1, 1, 1, 512, 2 ** 20, 2 ** 21]) + prng.below(2);
  }

  #damage(prng: Prng, notes: CaseNotes): void {
    const { bytes, starts } = this.#script;
    const start = starts.length === 0 ? 0 : prng.pick(starts);
    // Headers are where it hurts.
    const at = Math.min(MOST_BYTES - 64, start + prng.below(40));
    const how = prng.below(5);
    const value = prng.pick([0, 1, 0x7f, 0x80, 0xff, prng.below(256)]);
    notes.say(`damage ${how} at ${at} with ${value}`);
    if (how === 0) bytes[at] = value;
    else if (how === 1) bytes[at] = (bytes[at] as number) ^ (1 << prng.below(8));
    else if (how === 2) bytes.fill(value, at, at + 1 + prng.below(16));
    else if (how === 3) bytes.copyWithin(at, at + 1 + prng.below(40), this.#script.length);
    else this.#script.length = Math.min(this.#script.length, at);
  }

  /** A transport: stages, lands, sends in parts and is refused, hands over, and hangs up. */
  #drive(opened: ServerSession, prng: Prng, notes: CaseNotes): ServerSession {
    let session = opened;
    const { bytes, length } = this.#script;
    const most =
      prng.pick(length < 4000 ? [1, 30, 700, MOST_BYTES] : [700, MOST_BYTES]) + prng.below(64);
    const moods = prng.below(8);
    this.#from = 0;
    this.#to = 0;
    for (let turns = 0; ; turns++) {
      assert(turns < 4 * MOST_BYTES, "the session makes no progress");
      const used = session.receive(bytes, this.#from, this.#to);
      assert(used >= 0 && used <= this.#to - this.#from, `${used} bytes used`);
      this.#from += used;
      this.#checkStaged(session);
      const speaks = session.replies.count > 0;
      if (speaks) this.#send(session, prng, moods === 1);
      if (speaks || used > 0) continue;
      if (session.state === "starttls") {
        // What was staged in the clear is not TLS.
        this.#from = this.#to;
        session.secured();
        notes.say("secured");
      }
      if (session.state === "closing" || this.#to === length) return session;
      session = this.#disturb(session, prng, moods);
      this.#stage(session, Math.min(most, length - this.#to), moods);
    }
  }

  #stage(session: ServerSession, length: number, moods: number): void {
    const { landing } = session;
    if (landing === undefined || this.#from !== this.#to || moods === 3) {
      this.#to += length;
      return;
    }
    const run = Math.min(length, landing.length);
    session.landed(run);
    this.#to += run;
    this.#from = this.#to;
  }

  #disturb(session: ServerSession, prng: Prng, moods: number): ServerSession {
    if (moods === 2 && prng.below(20) === 0) session.shutdown();
    if (moods === 4 && prng.below(4) === 0) session.landingRefused();
    const { terms, export: target } = session;
    if (moods !== 5 || terms === undefined || target === undefined) return session;
    return resumeSession(target, terms, this.#queue);
  }

  /** Sends, in one go or with a refusal somewhere. */
  #send(session: ServerSession, prng: Prng, refuses: boolean): void {
    const { replies } = session;
    assert(replies.scratch.length <= MOST_SCRATCH, `${replies.scratch.length} bytes of scratch`);
    const most = refuses ? 4 : 0;
    for (let refusals = 0; refusals < most && replies.count > 0; refusals++) {
      checkQueue(session);
      session.sendRefused(prng.below(3) === 0 ? prng.below(replies.bytes) : 0);
    }
    checkQueue(session);
    replies.clear();
  }

  /** More than this a transport need not keep. */
  #checkStaged(session: ServerSession): void {
    const left = this.#to - this.#from;
    if (session.replies.count > 0 || session.state === "closing") return;
    if (session.state === "starttls") return;
    const most = session.state === "handshake" ? 64 * 1024 + 32 : 32;
    assert(left <= most, `${left} bytes are left with the transport`);
  }
}

/** Replies must be whole, and as long as they say. */
function checkQueue({ replies, state }: ServerSession): void {
  if (state !== "transmission" || replies.verbatim > 0) return;
  const { count, kinds, at, lengths, view } = replies;
  for (let i = 0; i < count; i++) {
    if (kinds[i] !== PIECE_ARENA) continue;
    const next = i + 1 < count && kinds[i + 1] !== PIECE_ARENA ? (lengths[i + 1] as number) : 0;
    let header = at[i] as number;
    const stop = header + (lengths[i] as number);
    while (header < stop) {
      const length = replyLength(view, header);
      if (length === undefined) return;
      header += length;
    }
    const simple = header === stop;
    assert(simple || header === stop + next, "a reply is as long as it says");
  }
  checkStored(replies);
}

function checkStored({ count, kinds, at, lengths }: ReplyQueue): void {
  for (let i = 0; i < count; i++) {
    const end = (at[i] as number) + (lengths[i] as number);
    if (kinds[i] === PIECE_STORE) assert(end <= SIZE, "a piece leaves the store");
  }
}

/** Bytes of the reply at an index of the arena; undefined for what the handshake said. */
function replyLength(view: DataView, at: number): number | undefined {
  const magic = view.getUint32(at);
  if (magic === 0x67446698) return 16;
  if (magic === 0x668e33ef) return 20 + view.getUint32(at + 16);
  if (magic !== 0x6e8a278c) return undefined;
  assert(view.getUint32(at + 24) === 0, "no reply is so long");
  return 32 + view.getUint32(at + 28);
}

/** Conversations with the server's session. */
export const nbdTarget: FuzzTarget = {
  name: "nbd",
  weight: 10,
  reaches: ["handshake", "transmission", "closing", "EBADMSG"],
  open: () => new NbdSubject(),
};
