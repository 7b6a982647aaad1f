/** Requests sent to a session in transmission, and what came back. */
import { expect } from "vitest";
import type { NbdExport } from "../../src/nbd/export.ts";
import type { ServerSession, SessionTerms } from "../../src/nbd/session-contract.ts";
import { resumeSession } from "../../src/nbd/session.ts";
import { noise } from "./bytes.ts";
import { ToyStore, type ToyStoreOptions } from "./nbd-store.ts";
import { Decoder, drive, join, type Reply, request, type Sent } from "./nbd-wire.ts";

export const [READ, WRITE, DISC, FLUSH, TRIM, CACHE, ZEROES, STATUS] = [
  0, 1, 2, 3, 4, 5, 6, 7,
] as const;
export const [FUA, NO_HOLE, DF, REQ_ONE, FAST, PAYLOAD] = [1, 2, 4, 8, 16, 32] as const;
export const [EPERM, EIO, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP, ESHUTDOWN] = [
  1, 5, 22, 28, 75, 95, 108,
];
export const SIZE = 65_536;
export const FORMS = ["simple", "structured", "extended"] as const;
type Form = SessionTerms["replies"];

interface Talk {
  readonly replies: readonly Reply[];
  readonly session: ServerSession;
  readonly calls: readonly string[];
}

/** Sends requests to a store and gathers the replies. */
export function talk(
  store: ToyStore,
  requests: readonly Sent[],
  form: Form = "simple",
  more: Partial<NbdExport> & { contexts?: string[]; lands?: boolean; sizes?: number[] } = {},
): Talk {
  const { contexts = form === "simple" ? [] : ["base:allocation"], lands = false, sizes } = more;
  const target = { name: "disk", store, ...more };
  const session = resumeSession(target, { replies: form, contexts });
  const bytes = join(...requests.map((one) => request(one, form === "extended")));
  const { said } = drive(session, bytes, { media: store.bytes, lands, ...(sizes && { sizes }) });
  const decoder = new Decoder(said);
  const replies: Reply[] = [];
  const lengthOf = (cookie: bigint): number => {
    const sent = requests.find((one) => one.cookie === cookie);
    return sent?.type === READ ? Number(sent.length) : 0;
  };
  while (decoder.left > 0) replies.push(decoder.reply(lengthOf));
  return { replies, session, calls: store.calls };
}

/** The error of one request, which is 0 where it went well; the session must go on. */
export function errorOf(
  options: ToyStoreOptions,
  sent: Omit<Sent, "cookie">,
  form: Form = "simple",
): number | undefined {
  const after = { type: FLUSH, cookie: 2n };
  const store = new ToyStore(SIZE, options);
  const { replies, session } = talk(store, [{ ...sent, cookie: 1n }, after], form);
  expect(replies.at(-1)?.cookie).toBe(2n);
  expect(replies.at(-1)?.error).toBe(0);
  expect(session.state).toBe("transmission");
  return replies.find(({ error }) => error !== 0)?.error ?? 0;
}

export const PAYLOAD_512 = noise(1, 512);
export const none = new Uint8Array(0);
