/**
 * What hostile servers can do to a client: conversations with a server whose words are damaged on
 * the way, checks of such a server among them, and hostile URIs.
 */
import { Prng } from "../../src/lib/prng.ts";
import { NbdClient } from "../../src/nbd/client.ts";
import { describeExport, listExports } from "../../src/nbd/client-handshake.ts";
import { type CheckContext, runCheck } from "../../src/nbd/check/check.ts";
import { NBD_CHECKS } from "../../src/nbd/check/checks.ts";
import { gatherFacts } from "../../src/nbd/check/haggling.ts";
import type { Talk } from "../../src/nbd/talk.ts";
import { formatNbdUri, isNbdUri, parseNbdUri } from "../../src/nbd/uri.ts";
import type { CaseNotes, FuzzSubject, FuzzTarget } from "./fuzz.ts";
import { damageText } from "./fuzz-text.ts";
import { type Tamper, checkWith, loopServer, talkWith } from "./nbd-loop.ts";
import { ToyStore } from "./nbd-store.ts";

const SIZE = 64 * 1024;
const URIS = [
  "nbd://localhost",
  "nbd://[::1]:10809/disk",
  "nbd+unix:///a%20b?socket=/tmp/s",
  "nbds://user@host/x?tls-type=psk&tls-psk-file=/k&tls-verify-peer=1",
];
const PIECES = [
  "nbd",
  "+unix",
  "://",
  "?socket=",
  "%",
  "%00",
  "%ff",
  "[",
  "]",
  ":",
  "@",
  "&",
  "//",
];
/** Numbers that lengths and types like to be. */
const WORDS = [0, 1, 5, 6, 12, 0x7fff_ffff, 0x8000_0001, 0xffff_ffff, 0x6744_6698, 0x668e_33ef];

/** Damages some of what a server says; most of it is left alone, so that talks get somewhere. */
function damage(prng: Prng): Tamper {
  const share = prng.pick([2, 6, 20]);
  return (said) => {
    if (prng.below(share) !== 0) return said;
    const bytes = said.slice();
    const view = new DataView(bytes.buffer);
    for (let hits = 1 + prng.below(2); hits > 0 && bytes.length > 0; hits--) {
      const at = prng.below(Math.min(bytes.length, 96));
      if (prng.below(2) === 0) bytes[at] = prng.below(256);
      else if (at + 4 <= bytes.length) view.setUint32(at, prng.pick(WORDS));
    }
    const cut = prng.below(12);
    if (cut === 0) return bytes.subarray(0, prng.below(bytes.length + 1));
    return cut === 1 ? new Uint8Array([...bytes, ...bytes.subarray(0, 64)]) : bytes;
  };
}

/** A conversation of a client, from greeting to farewell. */
function* conversation(prng: Prng): Talk<string> {
  const [structured, extended] = [prng.below(4) > 0, prng.below(2) > 0];
  const client = yield* NbdClient.connect({ exportName: "x", structured, extended });
  const block = client.agreement.blockSizes.minimum;
  const length = Math.min(client.agreement.size, SIZE, block * (1 + prng.below(16)));
  for (let turns = 1 + prng.below(4); turns > 0; turns--) {
    const what = prng.below(6);
    if (what === 0) yield* client.write(0, new Uint8Array(length));
    else if (what === 1) yield* client.writeZeroes(0, length);
    else if (what === 2 && client.agreement.contexts.size > 0) yield* client.blockStatus(0, length);
    else if (what === 3) yield* client.flush();
    else yield* client.read(0, new Uint8Array(length));
  }
  yield* client.disconnect();
  return "talked";
}

function server(prng: Prng, tamper: Tamper | undefined) {
  const minimum = prng.pick([1, 512, 4096]);
  const store = new ToyStore(SIZE, {
    readOnly: prng.below(4) === 0,
    sparse: prng.below(2) === 0,
    blockSizes: { minimum, preferred: 4096 },
  });
  return loopServer(tamper, { name: "x", description: "a toy", store });
}

function parsed(prng: Prng, notes: CaseNotes): string {
  const uri = damageText(prng.pick(URIS), prng, PIECES, 6000);
  notes.say(uri);
  if (!isNbdUri(uri)) return "file";
  const { address, exportName, tls } = parseNbdUri(uri);
  const again = parseNbdUri(formatNbdUri(address, exportName, tls));
  if (JSON.stringify(again.address) !== JSON.stringify(address)) throw new Error("another address");
  if (again.exportName !== exportName || again.tls !== tls) throw new Error("another export");
  return "parsed";
}

function checked(prng: Prng, notes: CaseNotes): string {
  const at = { exportName: "x", tls: undefined };
  const seed = prng.u32();
  const honest = server(new Prng(seed), undefined);
  const context: CheckContext = { ...at, facts: checkWith(honest, gatherFacts(at)) };
  const check = prng.pick(NBD_CHECKS);
  notes.say(check.name);
  if (check.unfit(context.facts) !== undefined) return "unfit";
  const hostile = server(new Prng(seed), damage(prng));
  return checkWith(hostile, runCheck(check, context)).outcome;
}

function runCase(prng: Prng, notes: CaseNotes): string {
  const kind = prng.below(8);
  if (kind === 0) return parsed(prng, notes);
  if (kind === 1) return checked(prng, notes);
  const hostile = server(prng, damage(prng));
  if (kind === 2) {
    talkWith(hostile, listExports());
    return "listed";
  }
  if (kind === 3) {
    talkWith(hostile, describeExport("x"));
    return "described";
  }
  return talkWith(hostile, conversation(prng));
}

export const nbdClientTarget: FuzzTarget = {
  name: "nbd-client",
  weight: 6,
  reaches: ["talked", "EPROTO"],
  open(): FuzzSubject {
    return { run: runCase };
  },
};
