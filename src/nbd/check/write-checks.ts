/**
 * Checks of commands that change the export: WRITE, TRIM and WRITE_ZEROES, on writable exports and
 * on read-only ones.
 *
 * @module
 */
import {
  NBD_CMD_FLAG_DF,
  NBD_CMD_FLAG_FAST_ZERO,
  NBD_CMD_FLAG_FUA,
  NBD_CMD_FLAG_NO_HOLE,
  NBD_CMD_FLUSH,
  NBD_CMD_TRIM,
  NBD_CMD_WRITE,
  NBD_CMD_WRITE_ZEROES,
  NBD_EINVAL,
  NBD_ENOSPC,
  NBD_ENOTSUP,
  NBD_EPERM,
  NBD_FLAG_CAN_MULTI_CONN,
  NBD_FLAG_SEND_FAST_ZERO,
  NBD_FLAG_SEND_FLUSH,
  NBD_FLAG_SEND_TRIM,
  NBD_FLAG_SEND_WRITE_ZEROES,
} from "../../format/nbd.ts";
import { send } from "../talk.ts";
import {
  type CheckContext,
  type CheckTalk,
  type NbdCheck,
  area,
  expectThat,
  isFilledWith,
  same,
  skip,
} from "./check.ts";
import {
  needsBlocks,
  needsFlag,
  needsNoFlag,
  needsPayload,
  needsReadOnly,
  needsSize,
  needsWritable,
} from "./needs.ts";
import { UNKNOWN_FLAG, needsFua, zeroLength } from "./read-checks.ts";
import {
  type RawRequest,
  type Transmission,
  encodeRequest,
  enter,
  nameOf,
} from "./transmission.ts";

/** Bytes that these checks write in, at the start of the export. */
const PLACE = 2 ** 18;

const room = needsSize(PLACE);
const carried = needsPayload(PLACE);
const write = area("write", needsWritable, room, carried);
const trim = area("trim", needsWritable, needsFlag(NBD_FLAG_SEND_TRIM, "TRIM"), room, carried);
const zeroes = area(
  "write-zeroes",
  needsWritable,
  needsFlag(NBD_FLAG_SEND_WRITE_ZEROES, "WRITE_ZEROES"),
  room,
  carried,
);
const readOnly = area("read-only", needsReadOnly, needsSize(1));
const needsFlush = needsFlag(NBD_FLAG_SEND_FLUSH, "FLUSH");
const needsFast = needsFlag(NBD_FLAG_SEND_FAST_ZERO, "FAST_ZERO");

/** Bytes that differ from their neighbours, and from those of other seeds. */
function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 167 + (i >>> 8) * 13 + seed * 71 + 1) & 255;
  return bytes;
}

/** Writes bytes and wants success. */
function* put(at: Transmission, offset: number, payload: Uint8Array, flags = 0): CheckTalk<void> {
  yield* at.serves({ type: NBD_CMD_WRITE, flags, offset, payload });
}

/** The first offset behind the whole blocks. */
function past({ size, block }: Transmission): number {
  return Math.ceil(size / block) * block;
}

/** A request that must be refused so, the connection going on. */
function refusedBy(error: number, make: (transmission: Transmission) => RawRequest) {
  return function* run(context: CheckContext): CheckTalk<void> {
    const transmission = yield* enter(context);
    yield* transmission.refuses(make(transmission), error);
  };
}

/** Writes, by these flags, and reads it back. */
function readsBack(flags: number, seed: number) {
  return function* run(context: CheckContext): CheckTalk<void> {
    const transmission = yield* enter(context);
    const bytes = pattern(65_536, seed);
    yield* put(transmission, 65_536, bytes, flags);
    expectThat(same(yield* transmission.read(65_536, 65_536), bytes), "reads back other bytes");
  };
}

/** Zeroes the middle of something, by these flags: only the middle changes. */
function zeroesMiddle(flags: number, start: number, length: number) {
  return function* run(context: CheckContext): CheckTalk<void> {
    const transmission = yield* enter(context);
    const { block } = transmission;
    const [from, span] = [Math.ceil(start / block) * block, Math.ceil(length / block) * block];
    const bytes = pattern(PLACE, 9);
    yield* put(transmission, 0, bytes);
    const request = { type: NBD_CMD_WRITE_ZEROES, flags, offset: from, length: span };
    const { error } = yield* transmission.ask(request);
    const fast = (flags & NBD_CMD_FLAG_FAST_ZERO) !== 0;
    const may = error === 0 || (fast && error === NBD_ENOTSUP);
    expectThat(may, `answers ${nameOf(error)}`);
    if (error === 0) bytes.fill(0, from, from + span);
    const now = yield* transmission.read(0, PLACE);
    const middle = now.subarray(from, from + span);
    if (error === 0) expectThat(isFilledWith(middle, 0), "reads other bytes than zeros");
    expectThat(
      same(now, bytes),
      error === 0 ? "changes more" : "changes bytes and answers ENOTSUP",
    );
  };
}

const ZEROES = { type: NBD_CMD_WRITE_ZEROES } as const;
const TRIM = { type: NBD_CMD_TRIM } as const;

export const writeChecks: readonly NbdCheck[] = [
  write.mustWriting("reads-back", "What was written is read.", readsBack(0, 1)),
  write.mustWriting("fua-reads-back", "And with FUA.", readsBack(NBD_CMD_FLAG_FUA, 2), needsFua),
  write.mustWriting(
    "leaves-neighbours",
    "A write changes no byte beside it, down to the minimum block.",
    function* run(context) {
      const transmission = yield* enter(context);
      const { block } = transmission;
      const bytes = pattern(PLACE, 3);
      yield* put(transmission, 0, bytes);
      for (const [at, count] of [
        [1, 1],
        [7, 3],
        [511, 2],
        [4095, 4099],
      ] as const) {
        const [offset, length] = block === 1 ? [at, count] : [at * block, count * block];
        if (offset + length > PLACE) continue;
        const piece = pattern(length, 40 + at);
        yield* put(transmission, offset, piece);
        bytes.set(piece, offset);
      }
      expectThat(same(yield* transmission.read(0, PLACE), bytes), "changes more");
    },
  ),
  write.mustWriting(
    "largest-payload-is-served",
    "A write of the maximum payload (32 MiB where none is advertised) is served.",
    function* run(context) {
      const transmission = yield* enter(context);
      const { block, size } = transmission;
      const most = Math.min(size, context.facts.info.blockSizes.maximum);
      const bytes = pattern(most - (most % block), 4);
      yield* put(transmission, 0, bytes);
      expectThat(same(yield* transmission.read(0, bytes.length), bytes), "reads back other bytes");
    },
  ),
  write.mustWriting(
    "split-payload-is-understood",
    "A payload that comes in pieces is written whole.",
    function* run(context) {
      const transmission = yield* enter(context);
      const payload = pattern(65_536, 5);
      const request = { type: NBD_CMD_WRITE, offset: 0, payload, cookie: 5n };
      yield* transmission.peer.hold(send(encodeRequest(request, false)));
      for (let at = 0; at < payload.length; at += 20_000) {
        yield* transmission.peer.hold(send(payload.subarray(at, at + 20_000)));
      }
      const replies = yield* transmission.collect(new Map([[5n, request]]));
      expectThat(replies.get(5n)?.error === 0, "refuses it");
      expectThat(same(yield* transmission.read(0, 65_536), payload), "reads back other bytes");
    },
  ),
  write.mustWriting(
    "flush-covers-it",
    "A flush after a write succeeds, and the bytes stay.",
    function* run(context) {
      const transmission = yield* enter(context);
      yield* put(transmission, 0, pattern(65_536, 6));
      yield* transmission.serves({ type: NBD_CMD_FLUSH });
      const now = yield* (yield* enter(context)).read(0, 65_536);
      expectThat(same(now, pattern(65_536, 6)), "tells another client other bytes");
    },
    needsFlush,
  ),
  write.mustWriting(
    "multi-conn-sees-it",
    "With CAN_MULTI_CONN a flush makes writes visible on every connection.",
    function* run(context) {
      const [one, other] = [yield* enter(context), yield* enter(context)];
      yield* other.read(0, 65_536);
      yield* put(one, 0, pattern(65_536, 7));
      yield* one.serves({ type: NBD_CMD_FLUSH });
      const now = yield* other.read(0, 65_536);
      expectThat(same(now, pattern(65_536, 7)), "tells the other connection older bytes");
    },
    needsFlush,
    needsFlag(NBD_FLAG_CAN_MULTI_CONN, "MULTI_CONN"),
  ),
  write.shouldWriting(
    "behind-the-end-is-enospc",
    "A write behind the end is ENOSPC, and its payload is passed over.",
    refusedBy(NBD_ENOSPC, (at) => ({
      type: NBD_CMD_WRITE,
      offset: past(at),
      payload: pattern(65_536, 1),
    })),
  ),
  write.shouldWriting(
    "across-the-end-is-enospc",
    "A write across the end is ENOSPC.",
    refusedBy(NBD_ENOSPC, (at) => ({
      type: NBD_CMD_WRITE,
      offset: past(at) - at.block,
      payload: pattern(2 * at.block, 1),
    })),
  ),
  write.shouldWriting(
    "unknown-flag-is-einval",
    "A flag that is not known is EINVAL, and the payload is passed over.",
    refusedBy(NBD_EINVAL, () => ({
      type: NBD_CMD_WRITE,
      flags: UNKNOWN_FLAG,
      payload: pattern(65_536, 1),
    })),
  ),
  write.shouldWriting(
    "foreign-flag-is-einval",
    "A flag of another command is EINVAL.",
    refusedBy(NBD_EINVAL, ({ block }) => ({
      type: NBD_CMD_WRITE,
      flags: NBD_CMD_FLAG_DF,
      payload: pattern(block, 1),
    })),
  ),
  write.shouldWriting(
    "unaligned-is-einval",
    "A write that is not aligned to the minimum block size is EINVAL.",
    refusedBy(NBD_EINVAL, ({ block }) => ({
      type: NBD_CMD_WRITE,
      offset: 1,
      payload: pattern(block, 1),
    })),
    needsBlocks,
  ),
  write.shouldWriting(
    "of-nothing-keeps-the-connection",
    "A write of no bytes does not end the connection.",
    zeroLength(NBD_CMD_WRITE),
  ),
  trim.mustWriting("is-answered", "A trim succeeds.", function* run(context) {
    yield* (yield* enter(context)).serves({ ...TRIM, offset: 65_536, length: 65_536 });
  }),
  trim.mustWriting(
    "leaves-neighbours",
    "A trim changes no byte beside it.",
    function* run(context) {
      const transmission = yield* enter(context);
      const bytes = pattern(PLACE, 8);
      yield* put(transmission, 0, bytes);
      yield* transmission.serves({ ...TRIM, offset: 131_072, length: 65_536 });
      const now = yield* transmission.read(0, PLACE);
      now.set(bytes.subarray(131_072, 196_608), 131_072);
      expectThat(same(now, bytes), "changes more");
    },
  ),
  trim.mustWriting(
    "takes-fua",
    "FUA is accepted with a trim where it was offered.",
    function* run(context) {
      const request = { ...TRIM, flags: NBD_CMD_FLAG_FUA, length: 65_536 };
      yield* (yield* enter(context)).serves(request);
    },
    needsFua,
  ),
  trim.shouldWriting(
    "longer-than-a-payload-keeps-the-connection",
    "A trim of all of the export does not end the connection.",
    function* run(context) {
      const transmission = yield* enter(context);
      const { size, block } = transmission;
      const most = Math.min(size, 2 ** 32 - 65_536);
      yield* transmission.ask({ ...TRIM, offset: 0, length: most - (most % block) });
      yield* transmission.alive();
    },
  ),
  trim.shouldWriting(
    "behind-the-end-is-einval",
    "A trim behind the end is EINVAL.",
    refusedBy(NBD_EINVAL, (at) => ({ ...TRIM, offset: past(at), length: at.block })),
  ),
  trim.shouldWriting(
    "unknown-flag-is-einval",
    "A flag that is not known is EINVAL.",
    refusedBy(NBD_EINVAL, ({ block }) => ({ ...TRIM, flags: UNKNOWN_FLAG, length: block })),
  ),
  trim.shouldWriting(
    "of-nothing-keeps-the-connection",
    "A trim of no bytes does not end the connection.",
    zeroLength(NBD_CMD_TRIM),
  ),
  zeroes.mustWriting(
    "reads-as-zeros",
    "What was zeroed reads as zeros, and nothing beside it changes.",
    zeroesMiddle(0, 65_536, 131_072),
  ),
  zeroes.mustWriting(
    "odd-ranges-leave-neighbours",
    "So it does for ranges that no page or sector starts at.",
    zeroesMiddle(0, 4097, 70_001),
  ),
  zeroes.mustWriting(
    "no-hole-is-known",
    "NO_HOLE is accepted, and does the same.",
    zeroesMiddle(NBD_CMD_FLAG_NO_HOLE, 65_536, 131_072),
  ),
  zeroes.mustWriting(
    "takes-fua",
    "FUA is accepted, and does the same.",
    zeroesMiddle(NBD_CMD_FLAG_FUA, 65_536, 65_536),
    needsFua,
  ),
  zeroes.mustWriting(
    "fast-is-done-or-enotsup",
    "FAST_ZERO zeroes, or is ENOTSUP and changes nothing.",
    zeroesMiddle(NBD_CMD_FLAG_FAST_ZERO, 65_536, 131_072),
    needsFast,
  ),
  zeroes.mustWriting(
    "fast-no-hole-is-done-or-enotsup",
    "So it does together with NO_HOLE.",
    zeroesMiddle(NBD_CMD_FLAG_FAST_ZERO | NBD_CMD_FLAG_NO_HOLE, 65_536, 131_072),
    needsFast,
  ),
  zeroes.shouldWriting(
    "fast-unoffered-is-einval",
    "FAST_ZERO that was not offered is EINVAL.",
    refusedBy(NBD_EINVAL, ({ block }) => ({
      ...ZEROES,
      flags: NBD_CMD_FLAG_FAST_ZERO,
      length: block,
    })),
    needsNoFlag(NBD_FLAG_SEND_FAST_ZERO, "FAST_ZERO"),
  ),
  zeroes.shouldWriting(
    "longer-than-a-payload-keeps-the-connection",
    "Zeroing all of the export does not end the connection.",
    function* run(context) {
      const transmission = yield* enter(context);
      const { size, block } = transmission;
      if (size > 2 ** 30) skip(`the export has ${size} bytes, and it takes 1 GiB at most`);
      yield* transmission.ask({ ...ZEROES, length: size - (size % block) });
      yield* transmission.alive();
    },
  ),
  zeroes.shouldWriting(
    "behind-the-end-is-enospc",
    "Zeroing behind the end is ENOSPC.",
    refusedBy(NBD_ENOSPC, (at) => ({ ...ZEROES, offset: past(at), length: at.block })),
  ),
  zeroes.shouldWriting(
    "unknown-flag-is-einval",
    "A flag that is not known is EINVAL.",
    refusedBy(NBD_EINVAL, ({ block }) => ({ ...ZEROES, flags: UNKNOWN_FLAG, length: block })),
  ),
  zeroes.shouldWriting(
    "of-nothing-keeps-the-connection",
    "Zeroing no bytes does not end the connection.",
    zeroLength(NBD_CMD_WRITE_ZEROES),
  ),
  readOnly.mustWriting("write-is-refused", "A write is an error.", refusedOnReadOnly("any")),
  readOnly.shouldWriting("write-is-eperm", "A write is EPERM.", refusedOnReadOnly("EPERM")),
  readOnly.shouldWriting(
    "trim-is-eperm",
    "A trim is EPERM.",
    refusedBy(NBD_EPERM, ({ block: length }) => ({ ...TRIM, length })),
  ),
  readOnly.shouldWriting(
    "write-zeroes-is-eperm",
    "Zeroing is EPERM.",
    refusedBy(NBD_EPERM, ({ block: length }) => ({ ...ZEROES, length })),
  ),
];

/** Writes what is there already, so that a server that is wrong loses nothing. */
function refusedOnReadOnly(error: "any" | "EPERM") {
  return function* run(context: CheckContext): CheckTalk<void> {
    const transmission = yield* enter(context);
    const payload = yield* transmission.read(0, transmission.block);
    const reply = yield* transmission.ask({ type: NBD_CMD_WRITE, offset: 0, payload });
    const fine = error === "any" ? reply.error !== 0 : reply.error === NBD_EPERM;
    expectThat(fine, `answers ${nameOf(reply.error)}`);
    yield* transmission.alive();
  };
}
