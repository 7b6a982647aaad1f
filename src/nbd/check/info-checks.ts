/**
 * Checks of INFO and GO, of transmission flags and of block sizes.
 *
 * @module
 */
import {
  NBD_FLAG_HAS_FLAGS,
  NBD_FLAG_SEND_DF,
  NBD_FLAG_SEND_FAST_ZERO,
  NBD_FLAG_SEND_RESIZE,
  NBD_FLAG_SEND_WRITE_ZEROES,
  NBD_INFO_BLOCK_SIZE,
  NBD_INFO_DESCRIPTION,
  NBD_INFO_EXPORT,
  NBD_INFO_NAME,
  NBD_OPT_GO,
  NBD_OPT_INFO,
  NBD_REP_ACK,
  NBD_REP_ERR_INVALID,
  NBD_REP_ERR_TLS_REQD,
  NBD_REP_ERR_UNKNOWN,
} from "../../format/nbd.ts";
import { decodeUtf8, encodeUtf8 } from "../../lib/utf8.ts";
import type { ClientBlockSizes } from "../client-handshake.ts";
import { type OptionOutcome, infoData, joined } from "../client-options.ts";
import {
  type CheckContext,
  type CheckTalk,
  type NbdCheck,
  area,
  expectThat,
  skip,
} from "./check.ts";
import {
  UNKNOWN_EXPORT,
  UNKNOWN_OPTION,
  ask,
  askInfo,
  haggle,
  infosOf,
  refused,
  word,
} from "./haggling.ts";
import {
  needsAdvertised,
  needsDefaultSizes,
  needsGo,
  needsSize,
  needsUnknownName,
} from "./needs.ts";
import { enter } from "./transmission.ts";

const info = area("info", needsGo);
const go = area("go", needsGo);
const flag = area("transmission-flags");
const sizes = area("block-sizes", needsAdvertised);

const ALL = [NBD_INFO_BLOCK_SIZE, NBD_INFO_NAME, NBD_INFO_DESCRIPTION];
const SIZES = [NBD_INFO_BLOCK_SIZE];
const MEBIBYTE = 2 ** 20;

function* told(context: CheckContext, requests: readonly number[]): CheckTalk<OptionOutcome> {
  const peer = yield* haggle(context);
  const outcome = yield* askInfo(peer, NBD_OPT_INFO, context.exportName, requests);
  expectThat(outcome.final === NBD_REP_ACK, `answers 0x${outcome.final.toString(16)}`);
  return outcome;
}

/** INFO with data that cannot be right. */
function malformed(data: (context: CheckContext) => Uint8Array) {
  return function* run(context: CheckContext): CheckTalk<void> {
    const peer = yield* haggle(context);
    const { final } = yield* ask(peer, NBD_OPT_INFO, data(context));
    expectThat(final === NBD_REP_ERR_INVALID, `answers 0x${final.toString(16)}, not ERR_INVALID`);
    const after = yield* askInfo(peer, NBD_OPT_INFO, context.exportName, SIZES);
    expectThat(after.final === NBD_REP_ACK, "does not answer INFO afterwards");
  };
}

/** All that INFO told, in an order of its own. */
function summary(outcome: OptionOutcome): string {
  const infos = [...infosOf(outcome)].map(
    ([type, data]) => `${type}=${new Uint8Array(data.buffer).join(",")}`,
  );
  return infos.toSorted().join(" ");
}

function isPower(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value));
}

/** The numbers as sent: what the client makes of them is rounded. */
function* advertised(context: CheckContext): CheckTalk<ClientBlockSizes> {
  const data = infosOf(yield* told(context, SIZES)).get(NBD_INFO_BLOCK_SIZE);
  if (data === undefined) skip("no block sizes this time");
  expectThat(data.byteLength === 14, `tells block sizes in ${data.byteLength} bytes`);
  const [minimum, preferred, maximum] = [2, 6, 10].map((at) => data.getUint32(at));
  return { minimum: minimum!, preferred: preferred!, maximum: maximum! };
}

export const infoChecks: readonly NbdCheck[] = [
  info.must(
    "tells-the-export",
    "INFO of the export ends in ACK and holds NBD_INFO_EXPORT of 12 bytes.",
    function* run(context) {
      const data = infosOf(yield* told(context, SIZES)).get(NBD_INFO_EXPORT);
      expectThat(data !== undefined, "tells no size");
      expectThat(data.byteLength === 12, `tells it in ${data.byteLength} bytes`);
    },
  ),
  info.must(
    "unknown-requests-are-ignored",
    "Information requests that are not known are ignored.",
    function* run(context) {
      const data = infosOf(yield* told(context, [0x7abc, ...SIZES, 0x1234]));
      expectThat(data.has(NBD_INFO_EXPORT), "tells no size");
    },
  ),
  info.must(
    "types-appear-with-their-lengths",
    "Names and descriptions are strings, block sizes 14 bytes.",
    function* run(context) {
      for (const [type, data] of infosOf(yield* told(context, ALL))) {
        if (type === NBD_INFO_BLOCK_SIZE) {
          expectThat(data.byteLength === 14, `tells block sizes in ${data.byteLength} bytes`);
        }
        if (type !== NBD_INFO_NAME && type !== NBD_INFO_DESCRIPTION) continue;
        const text = decodeUtf8(new Uint8Array(data.buffer).subarray(2));
        expectThat(data.byteLength <= 4098, `sends a string of ${data.byteLength - 2} bytes`);
        expectThat(!/[\0\p{Surrogate}]/u.test(text), "sends a string that is no UTF-8, or has NUL");
      }
    },
  ),
  info.should(
    "each-type-appears-once",
    "No information type is told twice.",
    function* run(context) {
      const outcome = yield* told(context, ALL);
      const once = infosOf(outcome).size === outcome.replies.length;
      expectThat(once, `tells ${outcome.replies.length} things of ${infosOf(outcome).size} types`);
    },
  ),
  info.must(
    "unknown-export-is-refused",
    "INFO of an export that is not there is NBD_REP_ERR_UNKNOWN (or TLS_REQD).",
    function* run(context) {
      const peer = yield* haggle(context);
      const { final } = yield* askInfo(peer, NBD_OPT_INFO, UNKNOWN_EXPORT);
      const fine = final === NBD_REP_ERR_UNKNOWN || final === NBD_REP_ERR_TLS_REQD;
      expectThat(fine, `answers 0x${final.toString(16)}`);
    },
    needsUnknownName,
  ),
  info.should(
    "unknown-export-is-told-nothing-of",
    "No NBD_REP_INFO is sent for an export that is not there.",
    function* run(context) {
      const peer = yield* haggle(context);
      const { replies } = yield* askInfo(peer, NBD_OPT_INFO, UNKNOWN_EXPORT, ALL);
      expectThat(replies.length === 0, `sends ${replies.length} replies`);
    },
    needsUnknownName,
  ),
  info.must(
    "short-data-is-invalid",
    "INFO with less data than its fixed part is refused as invalid.",
    malformed(() => Uint8Array.of(0, 0, 0)),
  ),
  info.must(
    "name-beyond-data-is-invalid",
    "INFO whose name reaches beyond the option is refused as invalid.",
    malformed(({ exportName }) => joined([word(4000), encodeUtf8(exportName), word(0)])),
  ),
  info.must(
    "requests-beyond-data-are-invalid",
    "INFO that counts more requests than it holds is refused as invalid.",
    malformed(({ exportName }) => {
      const data = infoData(exportName, []);
      data[data.length - 1] = 9;
      return data;
    }),
  ),
  info.must("does-not-enter", "After INFO options are still answered.", function* run(context) {
    const peer = yield* haggle(context);
    yield* askInfo(peer, NBD_OPT_INFO, context.exportName, SIZES);
    yield* askInfo(peer, NBD_OPT_INFO, context.exportName, SIZES);
    expectThat(refused(yield* ask(peer, UNKNOWN_OPTION)), "acknowledges an unknown option");
  }),
  go.must(
    "tells-what-info-told",
    "GO right after INFO with the same requests tells the same.",
    function* run(context) {
      const peer = yield* haggle(context);
      const first = yield* askInfo(peer, NBD_OPT_INFO, context.exportName, ALL);
      const second = yield* askInfo(peer, NBD_OPT_GO, context.exportName, ALL);
      expectThat(second.final === NBD_REP_ACK, `answers 0x${second.final.toString(16)}`);
      expectThat(summary(first) === summary(second), "tells something else");
    },
  ),
  go.must(
    "is-followed-by-transmission",
    "Nothing stands between the ACK of GO and the first reply: no zeros.",
    function* run(context) {
      yield* (yield* enter(context, { form: "simple" })).alive();
    },
  ),
  go.must(
    "unknown-export-keeps-haggling",
    "GO of an export that is not there is an error, and haggling goes on.",
    function* run(context) {
      const peer = yield* haggle(context);
      const { final } = yield* askInfo(peer, NBD_OPT_GO, UNKNOWN_EXPORT);
      const fine = final === NBD_REP_ERR_UNKNOWN || final === NBD_REP_ERR_TLS_REQD;
      expectThat(fine, `answers 0x${final.toString(16)}`);
      const after = yield* askInfo(peer, NBD_OPT_GO, context.exportName, SIZES);
      expectThat(after.final === NBD_REP_ACK, "refuses the right name afterwards");
    },
    needsUnknownName,
  ),
  go.should(
    "default-sizes-need-no-request",
    "A server of default sizes takes a client that does not ask for block sizes.",
    function* run(context) {
      const peer = yield* haggle(context);
      const { final } = yield* askInfo(peer, NBD_OPT_GO, context.exportName);
      expectThat(final === NBD_REP_ACK, `answers 0x${final.toString(16)}`);
    },
    needsDefaultSizes,
  ),
  flag.must("has-flags", "NBD_FLAG_HAS_FLAGS is set.", function* run({ facts }) {
    expectThat((facts.info.flags & NBD_FLAG_HAS_FLAGS) !== 0, `tells ${facts.info.flags}`);
    yield* [];
  }),
  flag.must(
    "nothing-undefined",
    "No flag is set that stands for a feature that is not defined.",
    function* run({ facts }) {
      const unknown = facts.info.flags & ~(0x1fff & ~NBD_FLAG_SEND_RESIZE);
      expectThat(unknown === 0, `sets 0x${unknown.toString(16)}`);
      yield* [];
    },
  ),
  flag.must(
    "df-needs-structured-replies",
    "NBD_FLAG_SEND_DF is clear without structured replies.",
    function* run({ facts }) {
      expectThat((facts.plainFlags & NBD_FLAG_SEND_DF) === 0, "sets it");
      yield* [];
    },
  ),
  flag.must(
    "fast-zero-needs-write-zeroes",
    "NBD_FLAG_SEND_FAST_ZERO is clear without NBD_FLAG_SEND_WRITE_ZEROES.",
    function* run({ facts: { info: known } }) {
      const fast = (known.flags & NBD_FLAG_SEND_FAST_ZERO) !== 0;
      expectThat(!fast || (known.flags & NBD_FLAG_SEND_WRITE_ZEROES) !== 0, "sets it");
      yield* [];
    },
  ),
  sizes.must(
    "minimum-is-a-power-of-two",
    "The minimum block size is a power of two up to 65,536.",
    function* run(context) {
      const { minimum } = yield* advertised(context);
      expectThat(isPower(minimum) && minimum <= 65_536, `advertises ${minimum}`);
    },
  ),
  sizes.must(
    "preferred-is-a-power-of-two",
    "The preferred block size is a power of two, at least 512 and the minimum.",
    function* run(context) {
      const { minimum, preferred } = yield* advertised(context);
      const fine = isPower(preferred) && preferred >= Math.max(512, minimum);
      expectThat(fine, `advertises ${preferred}`);
    },
  ),
  sizes.must(
    "payload-holds-a-preferred-block",
    "The maximum payload is at least the preferred block size.",
    function* run(context) {
      const { preferred, maximum } = yield* advertised(context);
      expectThat(maximum >= preferred, `advertises ${maximum} and ${preferred}`);
    },
  ),
  sizes.should(
    "payload-holds-a-mebibyte",
    "The maximum payload is at least 1 MiB, where the export is that large.",
    function* run(context) {
      const { maximum } = yield* advertised(context);
      expectThat(maximum >= MEBIBYTE, `advertises ${maximum}`);
    },
    needsSize(MEBIBYTE),
  ),
  sizes.should(
    "size-is-a-multiple",
    "The size of the export is a multiple of the minimum block size.",
    function* run(context) {
      const { minimum } = yield* advertised(context);
      const { size } = context.facts.info;
      expectThat(size % minimum === 0, `has ${size} bytes in blocks of ${minimum}`);
    },
  ),
];
