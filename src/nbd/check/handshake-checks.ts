/**
 * Checks of the handshake before options: greeting, flags, EXPORT_NAME, and clients that leave.
 *
 * @module
 */
import {
  NBD_CMD_READ,
  NBD_EXPORT_NAME_ZEROES,
  NBD_FLAG_C_FIXED_NEWSTYLE,
  NBD_FLAG_C_NO_ZEROES,
  NBD_FLAG_FIXED_NEWSTYLE,
  NBD_FLAG_NO_ZEROES,
  NBD_FLAG_SEND_DF,
  NBD_OPT_EXPORT_NAME,
  NBD_SIMPLE_REPLY_MAGIC,
  NbdExportNameReply,
} from "../../format/nbd.ts";
import { sizeof } from "../../lib/struct.ts";
import { encodeUtf8 } from "../../lib/utf8.ts";
import { encodeOption, hex } from "../client-options.ts";
import { send, take } from "../talk.ts";
import {
  type CheckContext,
  type CheckTalk,
  type NbdCheck,
  type Need,
  Peer,
  area,
  expectThat,
} from "./check.ts";
import { UNKNOWN_EXPORT, haggle, hello, word } from "./haggling.ts";
import { needsDefaultSizes, needsUnknownName } from "./needs.ts";
import { encodeRequest, enter } from "./transmission.ts";

const { must, should } = area("handshake");
const BOTH = NBD_FLAG_C_FIXED_NEWSTYLE | NBD_FLAG_C_NO_ZEROES;

const offersNoZeroes: Need = ({ handshakeFlags }) =>
  (handshakeFlags & NBD_FLAG_NO_ZEROES) === 0 ? "the server offers no NO_ZEROES" : undefined;
const offersNotNoZeroes: Need = ({ handshakeFlags }) =>
  (handshakeFlags & NBD_FLAG_NO_ZEROES) === 0 ? undefined : "the server offers NO_ZEROES";

function* exportName(peer: Peer, name: string): CheckTalk<void> {
  yield* peer.hold(send(encodeOption(NBD_OPT_EXPORT_NAME, encodeUtf8(name))));
}

/** EXPORT_NAME after these client flags; then the next bytes must be a reply to a read. */
function* byName(context: CheckContext, flags: number, zeros: number) {
  const peer = yield* haggle(context, flags);
  yield* exportName(peer, context.exportName);
  const told = yield* peer.hold(take(sizeof(NbdExportNameReply)));
  const padding = new Uint8Array((yield* peer.hold(take(zeros))).buffer);
  expectThat(
    padding.every((byte) => byte === 0),
    "pads with bytes that are not zero",
  );
  const length = context.facts.info.blockSizes.minimum;
  yield* peer.hold(send(encodeRequest({ type: NBD_CMD_READ, length }, false)));
  const magic = (yield* peer.hold(take(16))).getUint32(0);
  expectThat(
    magic === NBD_SIMPLE_REPLY_MAGIC,
    `sends ${hex(magic)} after ${zeros} zeros, where a simple reply is due`,
  );
  return told;
}

/** Another client must be served afterwards. */
function* othersServed(context: CheckContext): CheckTalk<void> {
  const transmission = yield* enter(context);
  yield* transmission.alive();
}

/** Sends bytes behind the greeting and leaves. */
function leaves(bytes: Uint8Array) {
  return function* run(context: CheckContext): CheckTalk<void> {
    const peer = yield* Peer.open();
    yield* hello(peer);
    yield* peer.hold(send(bytes));
    yield* peer.shut();
    yield* othersServed(context);
  };
}

export const handshakeChecks: readonly NbdCheck[] = [
  must(
    "greets-with-newstyle-magic",
    "The server opens with NBDMAGIC and IHAVEOPT.",
    function* run() {
      const peer = yield* Peer.open();
      yield* hello(peer);
    },
  ),
  must(
    "sets-fixed-newstyle",
    "A server that supports the fixed newstyle sets NBD_FLAG_FIXED_NEWSTYLE.",
    function* run() {
      const flags = yield* hello(yield* Peer.open());
      expectThat((flags & NBD_FLAG_FIXED_NEWSTYLE) !== 0, `greets with flags ${flags}`);
    },
  ),
  must(
    "sets-no-other-flags",
    "No handshake flags but the two defined ones are set.",
    function* run() {
      const flags = yield* hello(yield* Peer.open());
      expectThat((flags & ~3) === 0, `greets with flags 0x${flags.toString(16)}`);
    },
  ),
  must(
    "greets-everybody-alike",
    "The greeting does not depend on who was there before.",
    function* run({ facts }) {
      const flags = yield* hello(yield* Peer.open());
      expectThat(flags === facts.handshakeFlags, `changed its flags to ${flags}`);
    },
  ),
  must(
    "unknown-client-flag-is-dropped",
    "The connection is closed when the client sets a flag that is not known.",
    function* run() {
      const peer = yield* Peer.open();
      yield* hello(peer);
      yield* peer.hold(send(word(0x100 | NBD_FLAG_C_FIXED_NEWSTYLE)));
      yield* peer.ended();
    },
  ),
  must(
    "high-client-flag-is-dropped",
    "The same for the highest flag: all 32 bits are looked at.",
    function* run() {
      const peer = yield* Peer.open();
      yield* hello(peer);
      yield* peer.hold(send(word((0x8000_0000 | NBD_FLAG_C_FIXED_NEWSTYLE) >>> 0)));
      yield* peer.ended();
    },
  ),
  must(
    "unoffered-client-flag-is-dropped",
    "The connection is closed when the client sets NO_ZEROES and the server did not.",
    function* run() {
      const peer = yield* Peer.open();
      yield* hello(peer);
      yield* peer.hold(send(word(BOTH)));
      yield* peer.ended();
    },
    offersNotNoZeroes,
  ),
  must(
    "export-name-enters",
    "EXPORT_NAME is answered by size and flags, and 124 zeros without NO_ZEROES.",
    function* run(context) {
      yield* byName(context, NBD_FLAG_C_FIXED_NEWSTYLE, NBD_EXPORT_NAME_ZEROES);
    },
    needsDefaultSizes,
  ),
  must(
    "no-zeroes-is-kept-to",
    "No zeros follow where both sides set NO_ZEROES.",
    function* run(context) {
      yield* byName(context, BOTH, 0);
    },
    offersNoZeroes,
    needsDefaultSizes,
  ),
  must(
    "export-name-tells-what-go-tells",
    "Size and flags are those that GO tells without structured replies.",
    function* run(context) {
      const told = yield* byName(context, NBD_FLAG_C_FIXED_NEWSTYLE, NBD_EXPORT_NAME_ZEROES);
      const size = NbdExportNameReply.size.get(told, 0);
      const flags = NbdExportNameReply.transmissionFlags.get(told, 0);
      const { info, plainFlags } = context.facts;
      expectThat(size === info.size, `tells ${size} bytes, and ${info.size} by GO`);
      expectThat(flags === plainFlags, `tells flags ${flags}, and ${plainFlags} by GO`);
    },
    needsDefaultSizes,
  ),
  must(
    "export-name-without-structured-has-no-df",
    "NBD_FLAG_SEND_DF is clear where structured replies were not agreed on.",
    function* run(context) {
      const told = yield* byName(context, NBD_FLAG_C_FIXED_NEWSTYLE, NBD_EXPORT_NAME_ZEROES);
      const flags = NbdExportNameReply.transmissionFlags.get(told, 0);
      expectThat((flags & NBD_FLAG_SEND_DF) === 0, "offers DF");
    },
    needsDefaultSizes,
  ),
  must(
    "export-name-unknown-ends",
    "EXPORT_NAME of an export that is not there ends the session.",
    function* run(context) {
      const peer = yield* haggle(context);
      yield* exportName(peer, UNKNOWN_EXPORT);
      yield* peer.ended();
    },
    needsUnknownName,
  ),
  should(
    "left-after-the-greeting",
    "A client that leaves after the greeting disturbs nobody.",
    leaves(new Uint8Array(0)),
  ),
  should(
    "left-in-client-flags",
    "A client that leaves inside its flags disturbs nobody.",
    leaves(Uint8Array.of(0, 0)),
  ),
  should(
    "left-in-option",
    "A client that leaves inside an option disturbs nobody.",
    leaves(Uint8Array.of(0, 0, 0, 1, 0x49, 0x48, 0x41)),
  ),
  should(
    "left-after-garbage",
    "A client that talks no NBD disturbs nobody.",
    leaves(encodeUtf8("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")),
  ),
  should(
    "silent-client-blocks-nobody",
    "A client that says nothing keeps no other one waiting.",
    function* run(context) {
      yield* hello(yield* Peer.open());
      yield* othersServed(context);
    },
  ),
];
