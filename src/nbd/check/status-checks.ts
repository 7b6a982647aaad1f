/**
 * Checks of BLOCK_STATUS, of extended headers and of how a connection ends.
 *
 * @module
 */
import {
  NBD_CMD_BLOCK_STATUS,
  NBD_CMD_DISC,
  NBD_CMD_FLAG_FUA,
  NBD_CMD_FLAG_PAYLOAD_LEN,
  NBD_CMD_FLAG_REQ_ONE,
  NBD_CMD_READ,
  NBD_EINVAL,
  NBD_FLAG_BLOCK_STATUS_PAYLOAD,
  NBD_FLAG_CAN_MULTI_CONN,
  NBD_MAX_EXTENTS,
  NBD_REPLY_TYPE_BLOCK_STATUS,
  NBD_REPLY_TYPE_BLOCK_STATUS_EXT,
  NBD_STATE_HOLE,
  NBD_STATE_ZERO,
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
} from "./check.ts";
import { UNKNOWN_OPTION, ask, haggle } from "./haggling.ts";
import { needsAllocation, needsExtended, needsFlag, needsGo, needsSize } from "./needs.ts";
import { UNKNOWN_FLAG, needsFua } from "./read-checks.ts";
import {
  type RawChunk,
  type RawReply,
  type RawRequest,
  type ReplyForm,
  type Transmission,
  encodeRequest,
  enter,
} from "./transmission.ts";

const status = area("block-status", needsGo, needsAllocation, needsSize(1));
const extended = area("extended", needsGo, needsExtended, needsSize(1));
const end = area("disconnect", needsSize(1));
const ALLOCATION = ["base:allocation"];
const STATUS = { type: NBD_CMD_BLOCK_STATUS } as const;
/** Extents that are looked at one by one. */
const MOST_STEPS = 256;

/** An extent as a chunk tells it. */
interface Extent {
  readonly length: number;
  readonly flags: number;
}

function* entered(context: CheckContext, form: ReplyForm = "structured"): CheckTalk<Transmission> {
  return yield* enter(context, { form, contexts: ALLOCATION });
}

/** The one status chunk of a reply, taken apart. */
function extentsOf({ form, chunks }: RawReply): readonly Extent[] {
  const wide = form === "extended";
  const wanted = wide ? NBD_REPLY_TYPE_BLOCK_STATUS_EXT : NBD_REPLY_TYPE_BLOCK_STATUS;
  const [chunk, ...more] = chunks.filter(({ type }) => type === wanted);
  expectThat(chunk !== undefined, `sends no chunk of type ${wanted}`);
  expectThat(more.length === 0, `sends ${more.length + 1} chunks for one context`);
  return descriptors(chunk, wide);
}

function descriptors({ payload }: RawChunk, wide: boolean): readonly Extent[] {
  const [head, each] = wide ? [8, 16] : [4, 8];
  const count = (payload.byteLength - head) / each;
  expectThat(Number.isInteger(count) && count >= 1, `sends ${payload.byteLength} bytes`);
  if (wide) expectThat(payload.getUint32(4) === count, "counts its descriptors wrongly");
  return Array.from({ length: count }, (_, i) => {
    const at = head + i * each;
    return wide
      ? { length: Number(payload.getBigUint64(at)), flags: payload.getUint32(at + 12) }
      : { length: payload.getUint32(at), flags: payload.getUint32(at + 4) };
  });
}

/** As much of the export as one request may ask about. */
function most({ size, block }: Transmission): number {
  const length = Math.min(size, 2 ** 31);
  return length - (length % block);
}

/** Extents of the start of the export. */
function* first(transmission: Transmission, flags = 0): CheckTalk<readonly Extent[]> {
  const request = { ...STATUS, flags, offset: 0, length: most(transmission) };
  return extentsOf(yield* transmission.serves(request));
}

function invalid(make: (transmission: Transmission) => RawRequest) {
  return function* run(context: CheckContext): CheckTalk<void> {
    const transmission = yield* entered(context);
    yield* transmission.refuses(make(transmission), NBD_EINVAL);
  };
}

export const statusChecks: readonly NbdCheck[] = [
  status.must(
    "one-chunk-a-context",
    "A successful reply holds one chunk of extents for the selected context.",
    function* run(context) {
      yield* first(yield* entered(context));
    },
  ),
  status.must("lengths-are-not-zero", "No extent is empty.", function* run(context) {
    const extents = yield* first(yield* entered(context));
    expectThat(
      extents.every(({ length }) => length > 0),
      "tells of an empty extent",
    );
  }),
  status.must(
    "only-the-last-overshoots",
    "All extents but the last are shorter together than what was asked about.",
    function* run(context) {
      const transmission = yield* entered(context);
      const length = Math.min(most(transmission), Math.max(4096, transmission.block));
      const reply = yield* transmission.serves({ ...STATUS, offset: 0, length });
      const before = extentsOf(reply).slice(0, -1);
      const sum = before.reduce((total, extent) => total + extent.length, 0);
      expectThat(sum < length, `tells ${sum} of ${length} bytes, and goes on`);
    },
  ),
  status.must(
    "req-one-is-one",
    "With REQ_ONE there is one extent, no longer than what was asked about.",
    function* run(context) {
      const transmission = yield* entered(context);
      const { block: length } = transmission;
      const request = { ...STATUS, flags: NBD_CMD_FLAG_REQ_ONE, offset: 0, length };
      const extents = extentsOf(yield* transmission.serves(request));
      expectThat(extents.length === 1, `tells ${extents.length} extents`);
      expectThat(extents[0]!.length <= length, `tells ${extents[0]!.length} of ${length} bytes`);
    },
  ),
  status.must(
    "zero-reads-as-zeros",
    "An extent that is told to be zero reads as zeros.",
    function* run(context) {
      const transmission = yield* entered(context);
      let at = 0;
      for (const { length, flags } of (yield* first(transmission)).slice(0, 16)) {
        const part = Math.min(length, transmission.size - at, 65_536);
        const whole = part - (part % transmission.block);
        if ((flags & NBD_STATE_ZERO) !== 0 && whole > 0) {
          const bytes = yield* transmission.read(at, whole);
          const zero = isFilledWith(bytes, 0);
          expectThat(zero, `calls ${length} bytes at ${at} zero, and they are not`);
        }
        at += length;
      }
    },
  ),
  status.must(
    "the-whole-export-can-be-walked",
    "Asking on from where the last answer ended reaches the end.",
    function* run(context) {
      const transmission = yield* entered(context);
      const { size, block } = transmission;
      const stop = size - (size % block);
      for (let at = 0, steps = 0; at < stop && steps < MOST_STEPS; steps++) {
        const length = Math.min(stop - at, 2 ** 31);
        const reply = yield* transmission.serves({ ...STATUS, offset: at, length });
        const extents = extentsOf(reply);
        at += extents.reduce((sum, extent) => sum + extent.length, 0);
        at -= at < stop ? at % block : 0;
      }
    },
  ),
  status.must(
    "takes-fua",
    "FUA is accepted where it was offered.",
    function* run(context) {
      yield* first(yield* entered(context), NBD_CMD_FLAG_FUA);
    },
    needsFua,
  ),
  status.should(
    "reserved-bits-are-zero",
    "The bits of base:allocation that are not defined are zero.",
    function* run(context) {
      for (const { flags } of yield* first(yield* entered(context))) {
        const known = NBD_STATE_HOLE | NBD_STATE_ZERO;
        expectThat((flags & ~known) === 0, `tells 0x${flags.toString(16)}`);
      }
    },
  ),
  status.should(
    "neighbours-differ",
    "Extents that follow each other have different states.",
    function* run(context) {
      const extents = yield* first(yield* entered(context));
      const twice = extents.some(({ flags }, i) => flags === extents[i + 1]?.flags);
      expectThat(!twice, "tells one state in two extents");
    },
  ),
  status.should(
    "lengths-are-multiples-of-512",
    "Extents but the last are multiples of 512 bytes.",
    function* run(context) {
      const extents = (yield* first(yield* entered(context))).slice(0, -1);
      const odd = extents.find(({ length }) => length % 512 !== 0);
      expectThat(odd === undefined, `tells ${odd?.length} bytes`);
    },
  ),
  status.should(
    "extents-have-a-limit",
    "No chunk holds more than 2^20 extents.",
    function* run(context) {
      const { length } = yield* first(yield* entered(context));
      expectThat(length <= NBD_MAX_EXTENTS, `tells ${length}`);
    },
  ),
  status.should(
    "without-context-is-einval",
    "Without a selected context it is EINVAL.",
    function* run(context) {
      const transmission = yield* enter(context);
      const { block: length } = transmission;
      yield* transmission.refuses({ ...STATUS, offset: 0, length }, NBD_EINVAL);
    },
  ),
  status.should(
    "behind-the-end-is-einval",
    "A range behind the end is EINVAL.",
    invalid(({ size, block }) => ({
      ...STATUS,
      offset: Math.ceil(size / block) * block,
      length: block,
    })),
  ),
  status.should(
    "unknown-flag-is-einval",
    "A flag that is not known is EINVAL.",
    invalid(({ block }) => ({ ...STATUS, flags: UNKNOWN_FLAG, offset: 0, length: block })),
  ),
  status.should(
    "of-nothing-keeps-the-connection",
    "No bytes do not end the connection.",
    function* run(context) {
      const transmission = yield* entered(context);
      yield* transmission.ask({ ...STATUS, offset: 0, length: 0 });
      yield* transmission.alive();
    },
  ),
];

export const extendedChecks: readonly NbdCheck[] = [
  extended.must(
    "reads-are-extended",
    "With extended headers a read is answered by extended chunks.",
    function* run(context) {
      const transmission = yield* enter(context, { form: "extended" });
      yield* transmission.read(0, transmission.block);
      yield* transmission.alive();
    },
  ),
  extended.must(
    "errors-are-extended",
    "Errors too: no simple reply is ever sent.",
    function* run(context) {
      const transmission = yield* enter(context, { form: "extended" });
      yield* transmission.refuses({ type: 99, length: 0 }, NBD_EINVAL);
    },
  ),
  extended.must(
    "status-is-extended",
    "Block status comes with lengths of 64 bits and a count.",
    function* run(context) {
      yield* first(yield* entered(context, "extended"));
    },
    needsAllocation,
  ),
  extended.must(
    "tells-what-structured-tells",
    "The bytes are those that structured replies bring.",
    function* run(context) {
      const wide = yield* enter(context, { form: "extended" });
      const usual = yield* enter(context);
      const length = Math.min(most(wide), 65_536);
      const [one, other] = [yield* wide.read(0, length), yield* usual.read(0, length)];
      expectThat(same(one, other), "tells other bytes");
    },
  ),
  extended.should(
    "unexpected-payload-is-passed-over",
    "A payload that a command has no use for is passed over, and EINVAL.",
    function* run(context) {
      const transmission = yield* enter(context, { form: "extended" });
      const request = { type: NBD_CMD_READ, offset: 0, payload: new Uint8Array(64) };
      yield* transmission.refuses(request, NBD_EINVAL);
    },
  ),
  extended.should(
    "effect-of-2-to-the-60-is-refused",
    "A length of 64 bits that leaves the export is EINVAL.",
    function* run(context) {
      const transmission = yield* enter(context, { form: "extended" });
      const request = { type: NBD_CMD_READ, offset: 0, length: 2 ** 60 };
      yield* transmission.refuses(request, NBD_EINVAL);
    },
  ),
  extended.must(
    "status-payload-chooses-contexts",
    "A payload of BLOCK_STATUS names the contexts that are told.",
    function* run(context) {
      const transmission = yield* entered(context, "extended");
      const usual = { ...STATUS, offset: 0, length: transmission.block };
      const { chunks } = yield* transmission.serves(usual);
      const payload = new Uint8Array(12);
      const view = new DataView(payload.buffer);
      view.setBigUint64(0, BigInt(transmission.block));
      view.setUint32(8, chunks[0]!.payload.getUint32(0));
      extentsOf(yield* transmission.serves({ ...STATUS, offset: 0, payload }));
      view.setUint32(8, 0xffff_fff0);
      yield* transmission.refuses({ ...STATUS, offset: 0, payload }, NBD_EINVAL);
    },
    needsAllocation,
    ({ extendedFlags = 0 }) =>
      (extendedFlags & NBD_FLAG_BLOCK_STATUS_PAYLOAD) === 0
        ? "the server has no BLOCK_STATUS_PAYLOAD"
        : undefined,
  ),
  area("compact", needsSize(1)).should(
    "payload-flag-is-einval",
    "Without extended headers PAYLOAD_LEN is a flag like any unknown one.",
    function* run(context) {
      const transmission = yield* enter(context);
      const { block: length } = transmission;
      const request = { type: NBD_CMD_READ, flags: NBD_CMD_FLAG_PAYLOAD_LEN, length };
      yield* transmission.refuses(request, NBD_EINVAL);
    },
  ),
];

/** Sends bytes inside transmission and leaves; others must be served. */
function leaves(make: (transmission: Transmission) => Uint8Array) {
  return function* run(context: CheckContext): CheckTalk<void> {
    const transmission = yield* enter(context);
    yield* transmission.peer.hold(send(make(transmission)));
    yield* transmission.peer.shut();
    yield* (yield* enter(context)).alive();
  };
}

export const disconnectChecks: readonly NbdCheck[] = [
  end.must("disc-ends", "DISC has no reply, and ends the connection.", function* run(context) {
    const transmission = yield* enter(context);
    yield* transmission.send({ type: NBD_CMD_DISC });
    yield* transmission.peer.ended();
  }),
  end.must(
    "disc-finishes-requests",
    "Requests that came before DISC are answered.",
    function* run(context) {
      const transmission = yield* enter(context);
      const { block: length } = transmission;
      const requests = new Map<bigint, RawRequest>();
      for (let i = 0; i < 4; i++) {
        const request = { type: NBD_CMD_READ, offset: 0, length };
        requests.set(yield* transmission.send(request), request);
      }
      yield* transmission.send({ type: NBD_CMD_DISC });
      yield* transmission.collect(requests);
      yield* transmission.peer.ended();
    },
  ),
  end.should(
    "left-in-request",
    "A client that leaves inside a request disturbs nobody.",
    leaves(() => encodeRequest({ type: NBD_CMD_READ, length: 1 }, false).subarray(0, 9)),
  ),
  end.should(
    "left-before-the-reply",
    "A client that leaves before its reply disturbs nobody.",
    leaves(({ block: length }) => encodeRequest({ type: NBD_CMD_READ, length }, false)),
  ),
  end.should(
    "left-after-bad-magic",
    "A client that sends no request but garbage disturbs nobody.",
    leaves(() => new Uint8Array(28).fill(0x5a)),
  ),
  end.should(
    "left-before-replies-to-options",
    "A client that leaves with options unanswered disturbs nobody.",
    function* run(context) {
      const peer = yield* haggle(context);
      yield* ask(peer, UNKNOWN_OPTION);
      yield* peer.shut();
      yield* (yield* enter(context)).alive();
    },
  ),
  end.must(
    "a-second-client-is-served",
    "Two clients at a time are served where CAN_MULTI_CONN is set.",
    function* run(context) {
      const [one, other] = [yield* enter(context), yield* enter(context)];
      yield* one.alive();
      yield* other.alive();
      yield* one.alive();
    },
    needsFlag(NBD_FLAG_CAN_MULTI_CONN, "MULTI_CONN"),
  ),
];
