/**
 * What a check of an NBD server is: one sentence of the specification that a server must or should
 * keep to, and the conversation that shows whether it does. No sockets here: a check is a generator
 * that a transport drives, as a talk is, but over several connections.
 *
 * @module
 */
import { DaxError, isDaxError } from "../../lib/errno.ts";
import type { ExportInfo } from "../client-handshake.ts";
import type { Ask, Talk } from "../talk.ts";
import { take } from "../talk.ts";
import type { NbdUriTls } from "../uri.ts";

/** What a check asks of its transport; errors are thrown into it as `DaxError`s. */
export type CheckStep =
  /** Connect; the number is the check's own. */
  | { readonly kind: "open"; readonly wire: number }
  /** ECONNRESET, EPIPE: the server closed it. ETIMEDOUT: it was silent. */
  | { readonly kind: "ask"; readonly wire: number; readonly ask: Ask }
  /** Close without a word. */
  | { readonly kind: "shut"; readonly wire: number };

/** See the module. */
export type CheckTalk<T> = Generator<CheckStep, T, void>;

/** What the specification calls it. */
export type CheckLevel = "MUST" | "SHOULD";

/** What a server turned out to be before it was checked. */
export interface ServerFacts {
  readonly handshakeFlags: number;
  /** INFO and GO are known. */
  readonly go: boolean;
  readonly structured: boolean;
  readonly extended: boolean;
  /** Metadata contexts of the export. */
  readonly contexts: readonly string[];
  /** As told once structured replies are agreed on, where they can be. */
  readonly info: ExportInfo;
  /** As told without. */
  readonly plainFlags: number;
  /** As told once extended headers and contexts are agreed on; undefined where they cannot be. */
  readonly extendedFlags: number | undefined;
  /** An export that nobody made is served as well. */
  readonly anyName: boolean;
  readonly listed: readonly string[] | undefined;
}

/** What a check runs with. */
export interface CheckContext {
  readonly exportName: string;
  readonly facts: ServerFacts;
  /** TLS is agreed on first. */
  readonly tls: NbdUriTls | undefined;
}

/** A named sentence of the specification. */
export interface NbdCheck {
  /** `handshake.unknown-option-is-answered` */
  readonly name: string;
  readonly level: CheckLevel;
  /** What is asked of the server, in a sentence. */
  readonly text: string;
  /** It writes to the export, or would where a server is wrong. */
  readonly destructive: boolean;
  /** Why it cannot be tried on such a server; undefined where it can. */
  readonly unfit: (facts: ServerFacts) => string | undefined;
  readonly run: (context: CheckContext) => CheckTalk<void>;
}

/** How it went. */
export interface CheckResult {
  readonly name: string;
  readonly level: CheckLevel;
  readonly text: string;
  readonly outcome: "pass" | "fail" | "skip";
  /** What the server did, or why it was skipped; empty for a pass. */
  readonly detail: string;
}

/** The server does not keep to it. */
export class CheckFailed extends Error {
  override readonly name = "CheckFailed";
}

/** It turned out while running that it cannot be tried. */
export class CheckSkipped extends Error {
  override readonly name = "CheckSkipped";
}

/** Ends a check: `the server ${what}`. */
export function fail(what: string): never {
  throw new CheckFailed(`the server ${what}`);
}

/** Ends a check unless it holds. */
export function expectThat(holds: boolean, what: string): asserts holds {
  if (!holds) fail(what);
}

/** Ends a check that cannot be tried. */
export function skip(reason: string): never {
  throw new CheckSkipped(reason);
}

/** Something that a server must have for a check to be tried. */
export type Need = (facts: ServerFacts) => string | undefined;

/** Makes checks of one kind: their names start with `area`. */
export function area(name: string, ...common: readonly Need[]) {
  const make =
    (level: CheckLevel, destructive: boolean) =>
    (
      short: string,
      text: string,
      run: (context: CheckContext) => CheckTalk<void>,
      ...needs: readonly Need[]
    ): NbdCheck => ({
      name: `${name}.${short}`,
      level,
      text,
      destructive,
      run,
      unfit: (facts) => {
        for (const need of [...common, ...needs]) {
          const reason = need(facts);
          if (reason !== undefined) return reason;
        }
        return undefined;
      },
    });
  return {
    must: make("MUST", false),
    should: make("SHOULD", false),
    mustWriting: make("MUST", true),
    shouldWriting: make("SHOULD", true),
  };
}

/** Runs one check to its result; only mistakes of ours are thrown. */
export function* runCheck(check: NbdCheck, context: CheckContext): CheckTalk<CheckResult> {
  const { name, level, text } = check;
  const result = { name, level, text };
  try {
    yield* check.run(context);
    return { ...result, outcome: "pass", detail: "" };
  } catch (error) {
    if (error instanceof CheckSkipped) return { ...result, outcome: "skip", detail: error.message };
    if (error instanceof CheckFailed) return { ...result, outcome: "fail", detail: error.message };
    if (!(error instanceof DaxError)) throw error;
    return { ...result, outcome: "fail", detail: error.detail ?? error.message };
  }
}

/** Whether two runs of bytes are alike; a loop, because they may have megabytes. */
export function same(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false;
  return true;
}

/** Whether every byte is `value`. */
export function isFilledWith(bytes: Uint8Array, value: number): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== value) return false;
  return true;
}

let wires = 0;

/** One connection of a check. */
export class Peer {
  readonly wire: number;

  private constructor(wire: number) {
    this.wire = wire;
  }

  /** Connects. */
  static *open(): CheckTalk<Peer> {
    wires = (wires + 1) % 2 ** 30;
    yield { kind: "open", wire: wires };
    return new Peer(wires);
  }

  /** Holds a talk of a client on this connection. */
  *hold<T>(talk: Talk<T>): CheckTalk<T> {
    let step = talk.next();
    while (step.done !== true) {
      let error: unknown;
      try {
        yield { kind: "ask", wire: this.wire, ask: step.value };
      } catch (thrown) {
        error = thrown;
      }
      step = error === undefined ? talk.next() : talk.throw(error);
    }
    return step.value;
  }

  /** The server must close the connection and say nothing before. */
  *ended(): CheckTalk<void> {
    try {
      yield* this.hold(take(1));
    } catch (error) {
      if (isDaxError(error, "ECONNRESET", "EPIPE")) return;
      if (isDaxError(error, "ETIMEDOUT")) fail("keeps the connection open");
      throw error;
    }
    fail("goes on talking");
  }

  /** Leaves without a word. */
  *shut(): CheckTalk<void> {
    yield { kind: "shut", wire: this.wire };
  }
}
