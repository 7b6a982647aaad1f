/**
 * The checks by themselves: a server that keeps to the specification passes them all, and one that
 * breaks a sentence of it fails the check of that sentence.
 */
import { describe, expect, test } from "vitest";
import { Prng } from "../../src/lib/prng.ts";
import { type CheckContext, type CheckResult, runCheck } from "../../src/nbd/check/check.ts";
import { NBD_CHECKS } from "../../src/nbd/check/checks.ts";
import { gatherFacts } from "../../src/nbd/check/haggling.ts";
import type { NbdExport } from "../../src/nbd/export.ts";
import type { NbdStore } from "../../src/nbd/store.ts";
import { type LoopServer, type Tamper, checkWith, loopServer } from "../support/nbd-loop.ts";
import { ToyStore, type ToyStoreOptions } from "../support/nbd-store.ts";

const MIB = 2 ** 20;

function exportOf(options: ToyStoreOptions = {}, size = MIB): NbdExport {
  return { name: "x", description: "a toy", store: new ToyStore(size, options) };
}

/** All results of a server, read and written. */
function examine(server: LoopServer, honest: LoopServer = server): readonly CheckResult[] {
  const at = { exportName: "x", tls: undefined };
  const context: CheckContext = { ...at, facts: checkWith(honest, gatherFacts(at)) };
  return NBD_CHECKS.map((check) => {
    const { name, level, text } = check;
    const reason = check.unfit(context.facts);
    return reason === undefined
      ? checkWith(server, runCheck(check, context))
      : { name, level, text, outcome: "skip", detail: reason };
  });
}

function failures(results: readonly CheckResult[]): readonly string[] {
  return results.filter(({ outcome }) => outcome === "fail").map(({ name }) => name);
}

test("there are many checks, each with a name of its own and a sentence", () => {
  const names = new Set(NBD_CHECKS.map(({ name }) => name));
  expect(names.size).toBe(NBD_CHECKS.length);
  expect(names.size).toBeGreaterThan(150);
  for (const { name, text } of NBD_CHECKS) {
    expect(name).toMatch(/^[a-z]+(-[a-z]+)*\.[a-z0-9]+(-[a-z0-9]+)*$/u);
    expect(text).toMatch(/^[A-Z`].*\.$/u);
  }
});

describe("our session passes whole", () => {
  test.each<readonly [string, ToyStoreOptions]>([
    ["writable", {}],
    ["sparse", { sparse: true }],
    ["read-only", { readOnly: true }],
    ["of sectors", { blockSizes: { minimum: 512, preferred: 4096 } }],
    ["of large blocks", { blockSizes: { minimum: 65_536, preferred: 65_536 } }],
    [
      "of few abilities",
      { abilities: { trim: false, fastZero: false, cache: false, multiConnection: false } },
    ],
  ])("%s", (_, options) => {
    const results = examine(loopServer(undefined, exportOf(options)));
    expect(results.filter(({ outcome }) => outcome === "fail")).toEqual([]);
    const passed = results.filter(({ outcome }) => outcome === "pass").length;
    expect(passed).toBeGreaterThan(100);
  });

  test("checks that write are marked, and the others write nothing", () => {
    const store = new ToyStore(MIB);
    store.bytes.fill(0xa5);
    const server = loopServer(undefined, { name: "x", store });
    const at = { exportName: "x", tls: undefined };
    const context: CheckContext = { ...at, facts: checkWith(server, gatherFacts(at)) };
    for (const check of NBD_CHECKS.filter(({ destructive }) => !destructive)) {
      if (check.unfit(context.facts) === undefined) checkWith(server, runCheck(check, context));
    }
    expect(store.bytes.every((byte) => byte === 0xa5)).toBe(true);
    expect(store.calls.filter((call) => /^(write|trim|zero)/u.test(call))).toEqual([]);
  });
});

/** Replaces a run of bytes by another of the same length, wherever it stands. */
function replacing(from: readonly number[], to: readonly number[]): Tamper {
  return (said) => {
    const bytes = Buffer.from(said);
    const wanted = Buffer.from(from);
    for (let at = bytes.indexOf(wanted); at !== -1; at = bytes.indexOf(wanted, at + 1)) {
      Buffer.from(to).copy(bytes, at);
    }
    return new Uint8Array(bytes);
  };
}

const be32 = (value: number): number[] => [
  value >>> 24,
  (value >>> 16) & 255,
  (value >>> 8) & 255,
  value & 255,
];
const OPTION_MAGIC = [0x00, 0x03, 0xe8, 0x89, 0x04, 0x55, 0x65, 0xa9];
const STRUCTURED = be32(0x668e33ef);

/** A store that is wrong in one thing. */
function wrong(change: (store: ToyStore) => Partial<NbdStore>): LoopServer {
  const store = new ToyStore(MIB);
  const broken = new Proxy<NbdStore>(store, {
    get(target, key) {
      const changed: unknown = Reflect.get(change(store), key);
      const value: unknown = changed ?? Reflect.get(target, key);
      return typeof value === "function" ? (value as () => void).bind(target) : value;
    },
  });
  return loopServer(undefined, { name: "x", store: broken });
}

describe("a server that breaks a sentence fails its check", () => {
  test.each<readonly [string, Tamper, readonly string[]]>([
    [
      "another handshake flag",
      (said) => (said.length === 18 ? said.map((byte, i) => (i === 17 ? byte | 4 : byte)) : said),
      ["handshake.sets-no-other-flags", "handshake.greets-everybody-alike"],
    ],
    [
      "unknown options are acknowledged",
      replacing(be32(0x8000_0001), be32(1)),
      ["option.unknown-is-answered", "option.withdrawn-is-answered"],
    ],
    [
      "invalid options are called unsupported",
      replacing(be32(0x8000_0003), be32(0x8000_0001)),
      ["list.with-data-is-invalid", "info.short-data-is-invalid"],
    ],
    [
      "unknown exports are acknowledged",
      replacing(be32(0x8000_0006), be32(1)),
      ["info.unknown-export-is-refused", "go.unknown-export-keeps-haggling"],
    ],
    [
      "option replies of another magic",
      replacing(OPTION_MAGIC, OPTION_MAGIC.with(7, 0)),
      ["option.abort-is-acknowledged", "info.tells-the-export"],
    ],
    [
      "EINVAL is EIO",
      replacing([0, 0, 0, 22, 0], [0, 0, 0, 5, 0]),
      ["read.behind-the-end-is-einval", "command.unknown-is-einval"],
    ],
    [
      "chunks of an unknown magic",
      replacing(STRUCTURED, be32(0x12345678)),
      ["read.structured-with-structured", "block-status.one-chunk-a-context"],
    ],
    [
      "cookies lose their last bit",
      (said) => {
        const bytes = said.slice();
        const structured = STRUCTURED.every((byte, i) => bytes[i] === byte);
        if (structured) bytes[15] = bytes[15]! ^ 1;
        return bytes;
      },
      ["read.cookies-come-back", "read.pipelined-are-answered-once"],
    ],
  ])("%s", (_, tamper, wanted) => {
    const honest = loopServer(undefined, exportOf());
    const broken = loopServer(tamper, exportOf());
    expect(failures(examine(broken, honest))).toEqual(expect.arrayContaining([...wanted]));
  });

  test.each<readonly [string, LoopServer, string]>([
    ["writes are lost", wrong(() => ({ write: () => {} })), "write.reads-back"],
    [
      "zeroes are not made",
      wrong(() => ({ writeZeroes: () => {} })),
      "write-zeroes.reads-as-zeros",
    ],
    [
      "zeroes spill over",
      wrong((store) => ({
        writeZeroes: (offset, length) => {
          store.bytes.fill(0, offset, offset + length + 1);
        },
      })),
      "write-zeroes.odd-ranges-leave-neighbours",
    ],
    [
      "trims spill over",
      wrong((store) => ({
        trim: (offset, length) => {
          store.bytes.fill(0, offset - 1, offset + length);
        },
      })),
      "trim.leaves-neighbours",
    ],
    [
      "data is called zero",
      wrong((store) => {
        store.bytes.fill(7);
        return { allocation: () => [{ length: MIB, hole: false, zero: true }] };
      }),
      "block-status.zero-reads-as-zeros",
    ],
  ])("%s", (_, server, name) => {
    expect(failures(examine(server))).toContain(name);
  });
});

test("a server of damaged words ends every check", () => {
  const prng = new Prng(10_809);
  const honest = loopServer(undefined, exportOf());
  const outcomes = new Set<string>();
  for (let round = 0; round < 3; round++) {
    const tamper: Tamper = (said) => {
      const bytes = said.slice();
      for (let i = 0; i < bytes.length; i++) {
        if (i < 64 && prng.below(40) === 0) bytes[i] = prng.below(256);
      }
      return prng.below(20) === 0 ? bytes.subarray(0, prng.below(bytes.length + 1)) : bytes;
    };
    for (const { outcome } of examine(loopServer(tamper, exportOf()), honest))
      outcomes.add(outcome);
  }
  expect([...outcomes].toSorted()).toEqual(["fail", "pass", "skip"]);
}, 60_000);
