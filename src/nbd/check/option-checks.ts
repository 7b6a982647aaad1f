/**
 * Checks of options and their replies, INFO and GO apart.
 *
 * @module
 */
import {
  NBD_INFO_BLOCK_SIZE,
  NBD_MAX_STRING,
  NBD_OPT_ABORT,
  NBD_OPT_EXTENDED_HEADERS,
  NBD_OPT_INFO,
  NBD_OPT_LIST,
  NBD_OPT_PEEK_EXPORT,
  NBD_OPT_STARTTLS,
  NBD_OPT_STRUCTURED_REPLY,
  NBD_REP_ACK,
  NBD_REP_ERR_INVALID,
  NBD_REP_ERR_TLS_REQD,
  NBD_REP_ERR_UNSUP,
  NBD_REP_SERVER,
  NbdOptionReply,
} from "../../format/nbd.ts";
import { isDaxError } from "../../lib/errno.ts";
import { sizeof } from "../../lib/struct.ts";
import { decodeUtf8 } from "../../lib/utf8.ts";
import { encodeOption } from "../client-options.ts";
import { send, take } from "../talk.ts";
import {
  type CheckContext,
  type CheckTalk,
  type NbdCheck,
  type Peer,
  area,
  expectThat,
  skip,
} from "./check.ts";
import {
  NO_DATA,
  UNKNOWN_EXPORT,
  UNKNOWN_OPTION,
  ask,
  askInfo,
  haggle,
  refused,
} from "./haggling.ts";
import { needsExtended, needsGo, needsStructured } from "./needs.ts";
import { enter } from "./transmission.ts";

const option = area("option");
const list = area("list", ({ listed }) =>
  listed === undefined ? "the server does not tell its exports" : undefined,
);
const style = area("reply-style");
const tls = area("starttls");

/** Only some exports are asked about: there may be thousands. */
const MOST_NAMES = 16;

const SOME_DATA = Uint8Array.of(1, 2, 3, 4);

/** The option with data that it must not have is refused as invalid. */
function invalidWithData(code: number) {
  return function* run(context: CheckContext): CheckTalk<void> {
    const peer = yield* haggle(context);
    const { final } = yield* ask(peer, code, SOME_DATA);
    expectThat(final === NBD_REP_ERR_INVALID, `answers ${reply(final)}, not ERR_INVALID`);
    yield* stillHaggling(peer);
  };
}

function reply(final: number): string {
  if (final === NBD_REP_ACK) return "ACK";
  return `reply 0x${final.toString(16)}`;
}

/** Options are still answered: nothing of the last one is taken for the next. */
function* stillHaggling(peer: Peer): CheckTalk<void> {
  const outcome = yield* ask(peer, UNKNOWN_OPTION);
  expectThat(refused(outcome), `answers an unknown option by ${reply(outcome.final)} afterwards`);
}

function* unknownOption(context: CheckContext, data: Uint8Array): CheckTalk<Peer> {
  const peer = yield* haggle(context);
  const { final } = yield* ask(peer, UNKNOWN_OPTION, data);
  expectThat(final === NBD_REP_ERR_UNSUP, `answers ${reply(final)}, not ERR_UNSUP`);
  return peer;
}

/** The option is answered in some way, and the next one as well. */
function answered(code: number) {
  return function* run(context: CheckContext): CheckTalk<void> {
    const peer = yield* haggle(context);
    yield* ask(peer, code);
    yield* stillHaggling(peer);
  };
}

export const optionChecks: readonly NbdCheck[] = [
  option.must(
    "unknown-is-answered",
    "An option that is not known is answered by NBD_REP_ERR_UNSUP.",
    function* run(context) {
      yield* unknownOption(context, NO_DATA);
    },
  ),
  option.must(
    "unknown-data-is-skipped",
    "The data of an option that is not known is passed over.",
    function* run(context) {
      yield* stillHaggling(yield* unknownOption(context, new Uint8Array(1000).fill(0x49)));
    },
  ),
  option.must(
    "haggling-survives-many-unknown",
    "Haggling goes on after any number of refused options.",
    function* run(context) {
      const peer = yield* unknownOption(context, NO_DATA);
      for (let i = 0; i < 8; i++) {
        const { final } = yield* ask(peer, UNKNOWN_OPTION + 1 + i, SOME_DATA);
        expectThat(refused({ final, replies: [], message: "" }), `answers ${reply(final)}`);
      }
      yield* stillHaggling(peer);
    },
  ),
  option.must(
    "withdrawn-is-answered",
    "PEEK_EXPORT, which was withdrawn, is refused like an unknown option.",
    function* run(context) {
      const peer = yield* haggle(context);
      const outcome = yield* ask(peer, NBD_OPT_PEEK_EXPORT);
      expectThat(refused(outcome), `answers ${reply(outcome.final)}`);
      yield* stillHaggling(peer);
    },
  ),
  option.should(
    "large-unknown-does-not-hang",
    "An unknown option of 60,000 bytes is refused, or ends the session.",
    function* run(context) {
      const peer = yield* haggle(context);
      try {
        const { final } = yield* ask(peer, UNKNOWN_OPTION, new Uint8Array(60_000));
        expectThat(final !== NBD_REP_ACK, "acknowledges it");
      } catch (error) {
        if (!isDaxError(error, "ECONNRESET", "EPIPE")) throw error;
      }
    },
  ),
  option.should(
    "split-over-packets-is-understood",
    "An option that comes byte by byte is answered like another.",
    function* run(context) {
      const peer = yield* haggle(context);
      for (const byte of encodeOption(UNKNOWN_OPTION + 9, SOME_DATA)) {
        yield* peer.hold(send(Uint8Array.of(byte)));
      }
      const header = yield* peer.hold(take(sizeof(NbdOptionReply)));
      yield* peer.hold(take(Math.min(NBD_MAX_STRING, NbdOptionReply.length.get(header, 0))));
      yield* stillHaggling(peer);
    },
  ),
  option.must("abort-is-acknowledged", "ABORT is answered by ACK.", function* run(context) {
    const { final } = yield* ask(yield* haggle(context), NBD_OPT_ABORT);
    expectThat(final === NBD_REP_ACK, `answers ${reply(final)}`);
  }),
  option.should(
    "abort-with-data-is-acknowledged",
    "Data that comes with ABORT is ignored.",
    function* run(context) {
      const peer = yield* haggle(context);
      const { final } = yield* ask(peer, NBD_OPT_ABORT, SOME_DATA);
      expectThat(final === NBD_REP_ACK, `answers ${reply(final)}`);
    },
  ),
  option.should(
    "abort-without-waiting-is-tolerated",
    "A client that leaves at once after ABORT disturbs nobody.",
    function* run(context) {
      const peer = yield* haggle(context);
      yield* peer.hold(send(encodeOption(NBD_OPT_ABORT, NO_DATA)));
      yield* peer.shut();
      yield* (yield* enter(context)).alive();
    },
  ),
  list.must(
    "entries-hold-a-name",
    "Each entry of LIST is NBD_REP_SERVER and holds the name that it says it holds.",
    function* run(context) {
      const peer = yield* haggle(context);
      const { replies, final } = yield* ask(peer, NBD_OPT_LIST);
      expectThat(final === NBD_REP_ACK, `answers ${reply(final)}`);
      for (const { type, data } of replies) {
        expectThat(type === NBD_REP_SERVER, `sends reply ${type} in a list`);
        expectThat(data.byteLength >= 4, `sends an entry of ${data.byteLength} bytes`);
        const length = data.getUint32(0);
        expectThat(length <= data.byteLength - 4, `says ${length} of ${data.byteLength} bytes`);
      }
    },
  ),
  list.must(
    "names-are-strings",
    "Names are UTF-8 of at most 4096 bytes, without NUL.",
    function* run(context) {
      const peer = yield* haggle(context);
      const { replies } = yield* ask(peer, NBD_OPT_LIST);
      for (const { data } of replies) {
        const bytes = new Uint8Array(data.buffer).subarray(4, 4 + data.getUint32(0));
        expectThat(bytes.length <= NBD_MAX_STRING, `has a name of ${bytes.length} bytes`);
        expectThat(!bytes.includes(0), "has a name with NUL");
        expectThat(!/\p{Surrogate}/u.test(decodeUtf8(bytes)), "has a name not in UTF-8");
      }
    },
  ),
  list.must(
    "names-can-be-asked-for",
    "A listed name is known to INFO.",
    function* run(context) {
      const peer = yield* haggle(context);
      for (const name of (context.facts.listed ?? []).slice(0, MOST_NAMES)) {
        const { final } = yield* askInfo(peer, NBD_OPT_INFO, name, [NBD_INFO_BLOCK_SIZE]);
        const known = final === NBD_REP_ACK || final === NBD_REP_ERR_TLS_REQD;
        expectThat(known, `lists '${name}' and answers INFO by ${reply(final)}`);
      }
    },
    needsGo,
  ),
  list.should(
    "with-data-is-invalid",
    "LIST with data is refused as invalid.",
    invalidWithData(NBD_OPT_LIST),
  ),
  list.must(
    "can-be-asked-twice",
    "Asked again, LIST tells the same, or is refused as invalid.",
    function* run(context) {
      const peer = yield* haggle(context);
      const first = yield* ask(peer, NBD_OPT_LIST);
      const second = yield* ask(peer, NBD_OPT_LIST);
      const same = first.replies.length === second.replies.length;
      expectThat(same || second.final === NBD_REP_ERR_INVALID, "lists something else");
      yield* stillHaggling(peer);
    },
  ),
  style.must(
    "structured-is-answered",
    "STRUCTURED_REPLY is acknowledged or refused, and haggling goes on.",
    answered(NBD_OPT_STRUCTURED_REPLY),
  ),
  style.should(
    "structured-with-data-is-invalid",
    "STRUCTURED_REPLY with data is refused as invalid.",
    invalidWithData(NBD_OPT_STRUCTURED_REPLY),
    needsStructured,
  ),
  style.must(
    "structured-twice-is-answered",
    "Asked again, it is acknowledged, or refused as invalid.",
    function* run(context) {
      const peer = yield* haggle(context);
      yield* ask(peer, NBD_OPT_STRUCTURED_REPLY);
      const { final } = yield* ask(peer, NBD_OPT_STRUCTURED_REPLY);
      const fine = final === NBD_REP_ACK || final === NBD_REP_ERR_INVALID;
      expectThat(fine, `answers ${reply(final)}`);
      yield* stillHaggling(peer);
    },
    needsStructured,
  ),
  style.must(
    "extended-is-answered",
    "EXTENDED_HEADERS is acknowledged or refused, and haggling goes on.",
    answered(NBD_OPT_EXTENDED_HEADERS),
  ),
  style.should(
    "extended-with-data-is-invalid",
    "EXTENDED_HEADERS with data is refused as invalid.",
    invalidWithData(NBD_OPT_EXTENDED_HEADERS),
    needsExtended,
  ),
  tls.must(
    "is-answered",
    "STARTTLS is acknowledged, or refused and haggling goes on.",
    function* run(context) {
      if (context.tls !== undefined) skip("TLS is agreed on already");
      const peer = yield* haggle(context);
      const outcome = yield* ask(peer, NBD_OPT_STARTTLS);
      if (refused(outcome)) yield* stillHaggling(peer);
    },
  ),
  tls.must(
    "with-data-is-not-acknowledged",
    "STARTTLS with data is refused.",
    function* run(context) {
      const peer = yield* haggle(context);
      const outcome = yield* ask(peer, NBD_OPT_STARTTLS, SOME_DATA);
      expectThat(refused(outcome), "acknowledges it");
    },
  ),
  tls.must(
    "twice-is-invalid",
    "STARTTLS is refused as invalid once TLS is up.",
    function* run(context) {
      if (context.tls === undefined) skip("TLS is not asked for; give nbds://");
      const peer = yield* haggle(context);
      const { final } = yield* ask(peer, NBD_OPT_STARTTLS);
      expectThat(final === NBD_REP_ERR_INVALID, `answers ${reply(final)}`);
    },
  ),
  tls.must(
    "refused-means-never-required",
    "A server that refuses STARTTLS, or has TLS up, never answers NBD_REP_ERR_TLS_REQD.",
    function* run(context) {
      const peer = yield* haggle(context);
      if (context.tls === undefined && !refused(yield* ask(peer, NBD_OPT_STARTTLS))) {
        skip("the server has TLS");
      }
      for (const code of [NBD_OPT_LIST, UNKNOWN_OPTION, NBD_OPT_STRUCTURED_REPLY]) {
        const { final } = yield* ask(peer, code);
        expectThat(final !== NBD_REP_ERR_TLS_REQD, `answers option ${code} by it`);
      }
      const { final } = yield* askInfo(peer, NBD_OPT_INFO, UNKNOWN_EXPORT);
      expectThat(final !== NBD_REP_ERR_TLS_REQD, "answers INFO by it");
    },
  ),
];
