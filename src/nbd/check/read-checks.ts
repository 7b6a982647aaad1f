/**
 * Checks of READ, CACHE, FLUSH and of what no command may do.
 *
 * @module
 */
import {
  NBD_CMD_CACHE,
  NBD_CMD_FLAG_DF,
  NBD_CMD_FLAG_FUA,
  NBD_CMD_FLAG_NO_HOLE,
  NBD_CMD_FLUSH,
  NBD_CMD_READ,
  NBD_EINVAL,
  NBD_EOVERFLOW,
  NBD_FLAG_SEND_CACHE,
  NBD_FLAG_SEND_DF,
  NBD_FLAG_SEND_FLUSH,
  NBD_FLAG_SEND_FUA,
  NBD_REPLY_FLAG_DONE,
  NBD_REPLY_TYPE_NONE,
  NBD_REPLY_TYPE_OFFSET_DATA,
  NBD_REPLY_TYPE_OFFSET_HOLE,
} from "../../format/nbd.ts";
import { send } from "../talk.ts";
import {
  type CheckContext,
  type CheckTalk,
  type NbdCheck,
  area,
  expectThat,
  same,
} from "./check.ts";
import { needsBlocks, needsFlag, needsSize, needsStructured } from "./needs.ts";
import {
  type RawRequest,
  type Transmission,
  dataOf,
  encodeRequest,
  enter,
  nameOf,
} from "./transmission.ts";

const read = area("read", needsSize(1));
const command = area("command", needsSize(1));
const flush = area("flush", needsFlag(NBD_FLAG_SEND_FLUSH, "FLUSH"), needsSize(1));
const cache = area("cache", needsFlag(NBD_FLAG_SEND_CACHE, "CACHE"), needsSize(1));

/** A bit that no command has. */
export const UNKNOWN_FLAG = 1 << 14;
const UNKNOWN_COMMAND = 99;
const DF_BYTES = 65_536;
const CHUNK_TYPES: ReadonlySet<number> = new Set([
  NBD_REPLY_TYPE_NONE,
  NBD_REPLY_TYPE_OFFSET_DATA,
  NBD_REPLY_TYPE_OFFSET_HOLE,
]);

/** Bytes in whole blocks: at most `most`, the export, and what one request may bring. */
function within({ size, block, context }: Transmission, most: number): number {
  const length = Math.min(Math.max(most, block), size, context.facts.info.blockSizes.maximum);
  return length - (length % block);
}

/** A request that must be refused by EINVAL, the connection going on. */
function invalid(make: (transmission: Transmission) => RawRequest) {
  return function* run(context: CheckContext): CheckTalk<void> {
    const transmission = yield* enter(context);
    yield* transmission.refuses(make(transmission), NBD_EINVAL);
  };
}

/** The first block after the last whole one. */
function past({ size, block }: Transmission): number {
  return Math.ceil(size / block) * block;
}

/** A request of no bytes: whatever is answered, the connection goes on. */
export function zeroLength(type: number) {
  return function* run(context: CheckContext): CheckTalk<void> {
    const transmission = yield* enter(context);
    yield* transmission.ask({ type, offset: 0, length: 0 });
    yield* transmission.alive();
  };
}

/** Accepts FUA: the flag is valid with every command where it was offered. */
export function takesFua(make: (transmission: Transmission) => RawRequest) {
  return function* run(context: CheckContext): CheckTalk<void> {
    const transmission = yield* enter(context);
    yield* transmission.serves({ ...make(transmission), flags: NBD_CMD_FLAG_FUA });
  };
}

export const needsFua = needsFlag(NBD_FLAG_SEND_FUA, "FUA");
const needsDf = needsFlag(NBD_FLAG_SEND_DF, "DF");

export const readChecks: readonly NbdCheck[] = [
  read.must(
    "simple-without-structured",
    "Without structured replies a read is answered by a simple reply and the bytes.",
    function* run(context) {
      const transmission = yield* enter(context, { form: "simple" });
      yield* transmission.read(0, within(transmission, 4096));
      yield* transmission.alive();
    },
  ),
  read.must(
    "structured-with-structured",
    "With structured replies a read is never answered by a simple one.",
    function* run(context) {
      const transmission = yield* enter(context, { form: "structured" });
      const length = within(transmission, 4096);
      const { form } = yield* transmission.serves({ type: NBD_CMD_READ, length });
      expectThat(form === "structured", "answers by a simple reply");
    },
    needsStructured,
  ),
  read.must(
    "errors-are-structured",
    "With structured replies errors of a read are structured too.",
    function* run(context) {
      const transmission = yield* enter(context, { form: "structured" });
      const { block: length } = transmission;
      const request = { type: NBD_CMD_READ, flags: UNKNOWN_FLAG, length };
      const { form } = yield* transmission.ask(request);
      expectThat(form === "structured", "answers by a simple reply");
    },
    needsStructured,
  ),
  read.must(
    "chunks-are-content",
    "A read brings content, errors and NONE, the last one marked DONE.",
    function* run(context) {
      const transmission = yield* enter(context, { form: "structured" });
      const length = within(transmission, 2 ** 20);
      const { chunks } = yield* transmission.serves({ type: NBD_CMD_READ, length });
      for (const { type, flags, payload } of chunks) {
        expectThat(CHUNK_TYPES.has(type), `sends a chunk of type ${type}`);
        if (type !== NBD_REPLY_TYPE_NONE) continue;
        expectThat(payload.byteLength === 0, "sends NONE with a payload");
        expectThat((flags & NBD_REPLY_FLAG_DONE) !== 0, "sends NONE that is not the last");
      }
      yield* transmission.alive();
    },
    needsStructured,
  ),
  read.must(
    "chunks-cover-the-request",
    "The chunks of a successful read cover all of it, each byte once.",
    function* run(context) {
      const transmission = yield* enter(context);
      yield* transmission.read(0, within(transmission, 2 ** 21));
    },
  ),
  read.must(
    "forms-tell-the-same",
    "The bytes are the same whatever form of reply brings them.",
    function* run(context) {
      const plain = yield* enter(context, { form: "simple" });
      const rich = yield* enter(context, { form: "structured" });
      const length = within(plain, 65_536);
      const first = yield* plain.read(0, length);
      const second = yield* rich.read(0, length);
      expectThat(same(first, second), "tells different bytes");
    },
    needsStructured,
  ),
  read.must("last-block-is-served", "The last block can be read.", function* run(context) {
    const transmission = yield* enter(context);
    const { block, size } = transmission;
    yield* transmission.read(size - (size % block) - block, block);
  }),
  read.must(
    "cookies-come-back",
    "The cookie of a reply is that of its request, all 64 bits of it.",
    function* run(context) {
      const transmission = yield* enter(context);
      const { block: length } = transmission;
      for (const cookie of [0n, 1n, 0xffff_ffff_ffff_ffffn, 0x8000_0000_0000_0001n]) {
        yield* transmission.serves({ type: NBD_CMD_READ, length, cookie });
      }
    },
  ),
  read.must(
    "pipelined-are-answered-once",
    "Sixteen reads in flight are each answered once, in any order.",
    function* run(context) {
      const transmission = yield* enter(context);
      const { block: length } = transmission;
      const requests = new Map<bigint, RawRequest>();
      for (let i = 0; i < 16; i++) {
        const request = { type: NBD_CMD_READ, offset: 0, length };
        requests.set(yield* transmission.send(request), request);
      }
      for (const reply of (yield* transmission.collect(requests)).values()) {
        expectThat(reply.error === 0, `answers ${nameOf(reply.error)}`);
        dataOf(reply, 0, length);
      }
    },
  ),
  read.must(
    "split-over-packets-is-understood",
    "A request that comes in two halves is answered like another.",
    function* run(context) {
      const transmission = yield* enter(context);
      const { block: length } = transmission;
      const request = { type: NBD_CMD_READ, length, cookie: 77n };
      const bytes = encodeRequest(request, false);
      yield* transmission.peer.hold(send(bytes.subarray(0, 11)));
      yield* transmission.peer.hold(send(bytes.subarray(11)));
      yield* transmission.collect(new Map([[77n, request]]));
    },
  ),
  read.must(
    "largest-payload-is-served",
    "A read of the maximum payload (32 MiB where none is advertised) is served.",
    function* run(context) {
      const transmission = yield* enter(context);
      const length = within(transmission, context.facts.info.blockSizes.maximum);
      yield* transmission.read(0, length);
    },
  ),
  read.must(
    "df-is-one-chunk",
    "With DF a read of 64 KiB is served, in at most one content chunk.",
    function* run(context) {
      const transmission = yield* enter(context, { form: "structured" });
      const length = within(transmission, DF_BYTES);
      const request = { type: NBD_CMD_READ, flags: NBD_CMD_FLAG_DF, length };
      const { chunks } = yield* transmission.serves(request);
      const content = chunks.filter(({ type }) => type !== NBD_REPLY_TYPE_NONE);
      expectThat(content.length === 1, `sends ${content.length} chunks`);
    },
    needsStructured,
    needsDf,
  ),
  read.must(
    "df-too-long-is-eoverflow",
    "With DF a longer read is served in one chunk, or refused by EOVERFLOW without content.",
    function* run(context) {
      const transmission = yield* enter(context, { form: "structured" });
      const length = within(transmission, context.facts.info.blockSizes.maximum);
      const request = { type: NBD_CMD_READ, flags: NBD_CMD_FLAG_DF, length };
      const { error, chunks } = yield* transmission.ask(request);
      const content = chunks.filter(({ type }) => type !== 0 && type < 0x8000).length;
      if (error === 0) expectThat(content === 1, `sends ${content} chunks`);
      else expectThat(error === NBD_EOVERFLOW && content === 0, `answers ${nameOf(error)}`);
    },
    needsStructured,
    needsDf,
  ),
  read.must(
    "takes-fua",
    "FUA is accepted with a read where it was offered.",
    takesFua(({ block: length }) => ({ type: NBD_CMD_READ, length })),
    needsFua,
  ),
  read.should(
    "behind-the-end-is-einval",
    "A read that starts at the end is EINVAL.",
    invalid((at) => ({ type: NBD_CMD_READ, offset: past(at), length: at.block })),
  ),
  read.should(
    "across-the-end-is-einval",
    "A read that reaches across the end is EINVAL.",
    invalid((at) => ({ type: NBD_CMD_READ, offset: past(at) - at.block, length: 2 * at.block })),
  ),
  read.should(
    "overflowing-range-is-einval",
    "A read whose end is beyond 2^64 is EINVAL.",
    invalid(({ block }) => ({
      type: NBD_CMD_READ,
      offset: 2n ** 64n - BigInt(block),
      length: 2 * block,
    })),
  ),
  read.should(
    "far-offset-is-einval",
    "A read at 2^63 is EINVAL.",
    invalid(({ block: length }) => ({ type: NBD_CMD_READ, offset: 2n ** 63n, length })),
  ),
  read.should(
    "unaligned-offset-is-einval",
    "A read that is not aligned to the minimum block size is EINVAL.",
    invalid(({ block: length }) => ({ type: NBD_CMD_READ, offset: 1, length })),
    needsBlocks,
  ),
  read.should(
    "unaligned-length-is-einval",
    "A read of a part of a minimum block is EINVAL.",
    invalid(({ block }) => ({ type: NBD_CMD_READ, offset: 0, length: block / 2 })),
    needsBlocks,
  ),
  read.should(
    "unknown-flag-is-einval",
    "A flag that is not known is EINVAL.",
    invalid(({ block: length }) => ({ type: NBD_CMD_READ, flags: UNKNOWN_FLAG, length })),
  ),
  read.should(
    "foreign-flag-is-einval",
    "A flag of another command is EINVAL.",
    invalid(({ block: length }) => ({ type: NBD_CMD_READ, flags: NBD_CMD_FLAG_NO_HOLE, length })),
  ),
  read.should(
    "of-nothing-keeps-the-connection",
    "A read of no bytes does not end the connection.",
    zeroLength(NBD_CMD_READ),
  ),
  command.should(
    "unknown-is-einval",
    "A command that is not known is EINVAL.",
    invalid(() => ({ type: UNKNOWN_COMMAND, offset: 0, length: 0 })),
  ),
  command.should(
    "highest-is-einval",
    "So is the highest number that a command can have.",
    invalid(() => ({ type: 0xffff, offset: 0, length: 0 })),
  ),
  flush.must("is-answered", "A flush succeeds.", function* run(context) {
    yield* (yield* enter(context)).serves({ type: NBD_CMD_FLUSH });
  }),
  flush.must(
    "takes-fua",
    "FUA is accepted with a flush where it was offered.",
    takesFua(() => ({ type: NBD_CMD_FLUSH })),
    needsFua,
  ),
  flush.should(
    "unknown-flag-is-einval",
    "A flag that is not known is EINVAL.",
    invalid(() => ({ type: NBD_CMD_FLUSH, flags: UNKNOWN_FLAG })),
  ),
  cache.must("keeps-the-bytes", "A cache request changes nothing.", function* run(context) {
    const transmission = yield* enter(context);
    const length = within(transmission, 65_536);
    const before = yield* transmission.read(0, length);
    yield* transmission.ask({ type: NBD_CMD_CACHE, offset: 0, length });
    const after = yield* transmission.read(0, length);
    expectThat(same(before, after), "tells other bytes afterwards");
  }),
  cache.must(
    "unknown-flag-is-refused",
    "A server that has CACHE refuses flags that it does not know.",
    function* run(context) {
      const transmission = yield* enter(context);
      const { block: length } = transmission;
      const request = { type: NBD_CMD_CACHE, flags: UNKNOWN_FLAG, length };
      const { error } = yield* transmission.ask(request);
      expectThat(error !== 0, "takes it");
    },
  ),
  cache.should(
    "behind-the-end-is-einval",
    "A cache request behind the end is EINVAL.",
    invalid((at) => ({ type: NBD_CMD_CACHE, offset: past(at), length: at.block })),
  ),
];
