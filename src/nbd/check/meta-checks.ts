/**
 * Checks of metadata contexts: listing and selecting them.
 *
 * @module
 */
import {
  NBD_CMD_BLOCK_STATUS,
  NBD_EINVAL,
  NBD_OPT_LIST_META_CONTEXT,
  NBD_OPT_SET_META_CONTEXT,
  NBD_OPT_STRUCTURED_REPLY,
  NBD_REP_ACK,
  NBD_REP_ERR_EXT_HEADER_REQD,
  NBD_REP_ERR_INVALID,
  NBD_REP_META_CONTEXT,
} from "../../format/nbd.ts";
import { decodeUtf8 } from "../../lib/utf8.ts";
import { type OptionOutcome, metaData } from "../client-options.ts";
import {
  type CheckContext,
  type CheckTalk,
  type NbdCheck,
  type Peer,
  area,
  expectThat,
  skip,
} from "./check.ts";
import { UNKNOWN_EXPORT, ask, haggle, refused } from "./haggling.ts";
import { needsAllocation, needsGo, needsStructured } from "./needs.ts";
import { Transmission, go } from "./transmission.ts";

const list = area("list-meta-context", needsStructured);
const set = area("set-meta-context", needsStructured);
const ALLOCATION = "base:allocation";

/** A context as a reply tells it. */
interface Told {
  readonly id: number;
  readonly name: string;
}

function contextsIn({ replies, final }: OptionOutcome): readonly Told[] {
  expectThat(final === NBD_REP_ACK, `answers 0x${final.toString(16)}`);
  return replies.map(({ type, data }) => {
    expectThat(type === NBD_REP_META_CONTEXT, `sends reply ${type}`);
    expectThat(data.byteLength > 4, `sends a context of ${data.byteLength} bytes`);
    return { id: data.getUint32(0), name: decodeUtf8(new Uint8Array(data.buffer, 4)) };
  });
}

function* ready(context: CheckContext): CheckTalk<Peer> {
  const peer = yield* haggle(context);
  yield* ask(peer, NBD_OPT_STRUCTURED_REPLY);
  return peer;
}

/** What an option answers to these queries. */
function* queried(context: CheckContext, option: number, queries: readonly string[]) {
  const peer = yield* ready(context);
  return contextsIn(yield* ask(peer, option, metaData(context.exportName, queries)));
}

/** No context may come of these queries, and no error. */
function nothingFor(option: number, ...queries: readonly string[]) {
  return function* run(context: CheckContext): CheckTalk<void> {
    const found = yield* queried(context, option, queries);
    expectThat(found.length === 0, `answers ${found.map(({ name }) => name).join(", ")}`);
  };
}

/** A query that reaches beyond the option. */
function malformed(option: number) {
  return function* run(context: CheckContext): CheckTalk<void> {
    const peer = yield* ready(context);
    const { final } = yield* ask(peer, option, badQuery(context));
    expectThat(final === NBD_REP_ERR_INVALID, `answers 0x${final.toString(16)}, not ERR_INVALID`);
    const after = yield* ask(peer, option, metaData(context.exportName, []));
    expectThat(after.final === NBD_REP_ACK, "does not answer the next one");
  };
}

function badQuery({ exportName }: CheckContext): Uint8Array {
  const data = metaData(exportName, ["base:"]);
  data[data.length - 6] = 200;
  return data;
}

/** Enters transmission after some options; BLOCK_STATUS must be refused there. */
function* hasNone(context: CheckContext, peer: Peer): CheckTalk<void> {
  yield* go(peer, context);
  const transmission = new Transmission(peer, "structured", context);
  const request = { type: NBD_CMD_BLOCK_STATUS, offset: 0, length: transmission.block };
  yield* transmission.refuses(request, NBD_EINVAL);
}

function* select(peer: Peer, name: string, queries: readonly string[]): CheckTalk<OptionOutcome> {
  return yield* ask(peer, NBD_OPT_SET_META_CONTEXT, metaData(name, queries));
}

export const metaChecks: readonly NbdCheck[] = [
  list.must(
    "without-queries-lists-all",
    "Without queries all contexts are listed, then ACK.",
    function* run(context) {
      yield* queried(context, NBD_OPT_LIST_META_CONTEXT, []);
    },
  ),
  list.must(
    "names-have-a-namespace",
    "Each name is a namespace, a colon and more.",
    function* run(context) {
      for (const { name } of yield* queried(context, NBD_OPT_LIST_META_CONTEXT, [])) {
        expectThat(/^[^:\s]+:/u.test(name), `has a context '${name}'`);
      }
    },
  ),
  list.should("ids-are-zero", "Ids are reserved in this list, and zero.", function* run(context) {
    const found = yield* queried(context, NBD_OPT_LIST_META_CONTEXT, []);
    if (found.length === 0) skip("the server has no contexts");
    for (const { id, name } of found) expectThat(id === 0, `gives ${name} the id ${id}`);
  }),
  list.must(
    "base-is-a-wildcard",
    "`base:` lists every context of that namespace.",
    function* run(context) {
      const found = yield* queried(context, NBD_OPT_LIST_META_CONTEXT, ["base:"]);
      expectThat(
        found.some(({ name }) => name === ALLOCATION),
        "does not list base:allocation",
      );
    },
    needsAllocation,
  ),
  list.must(
    "a-name-lists-itself",
    "A query of a whole name lists that context.",
    function* run(context) {
      const found = yield* queried(context, NBD_OPT_LIST_META_CONTEXT, [ALLOCATION]);
      expectThat(found.length === 1 && found[0]?.name === ALLOCATION, "lists something else");
    },
    needsAllocation,
  ),
  list.must(
    "unknown-namespace-is-ignored",
    "A query of a namespace that is not known is ignored.",
    nothingFor(NBD_OPT_LIST_META_CONTEXT, "x-nbd-check:anything"),
  ),
  list.must(
    "unknown-leaf-is-ignored",
    "A query of a base: name that is not known is ignored.",
    nothingFor(NBD_OPT_LIST_META_CONTEXT, "base:nbd-check"),
  ),
  list.must(
    "query-beyond-data-is-invalid",
    "A query that reaches beyond the option is refused as invalid.",
    malformed(NBD_OPT_LIST_META_CONTEXT),
  ),
  set.should(
    "needs-structured-replies",
    "Without structured replies it is refused as invalid.",
    function* run(context) {
      const peer = yield* haggle(context);
      const { final } = yield* select(peer, context.exportName, [ALLOCATION]);
      const fine = final === NBD_REP_ERR_INVALID || final === NBD_REP_ERR_EXT_HEADER_REQD;
      expectThat(fine, `answers 0x${final.toString(16)}`);
    },
  ),
  set.must(
    "selects-base-allocation",
    "Asked for, base:allocation is selected, and nothing else.",
    function* run(context) {
      const found = yield* queried(context, NBD_OPT_SET_META_CONTEXT, [ALLOCATION]);
      expectThat(found.length === 1 && found[0]?.name === ALLOCATION, "selects something else");
    },
    needsAllocation,
  ),
  set.must(
    "ids-are-unique",
    "Contexts that are selected together have different ids.",
    function* run(context) {
      const queries = context.facts.contexts.filter((name) => !name.endsWith(":"));
      const found = yield* queried(context, NBD_OPT_SET_META_CONTEXT, queries);
      if (found.length < 2) skip("the server has fewer than two contexts");
      const ids = new Set(found.map(({ id }) => id));
      expectThat(ids.size === found.length, "gives one id twice");
    },
  ),
  set.must(
    "selects-a-name-once",
    "A context that is asked for twice is not selected under two ids.",
    function* run(context) {
      const found = yield* queried(context, NBD_OPT_SET_META_CONTEXT, [ALLOCATION, ALLOCATION]);
      const ids = new Set(found.map(({ id }) => id));
      expectThat(ids.size === 1, `answers ${found.length} contexts`);
    },
    needsAllocation,
  ),
  set.must(
    "base-selects-nothing",
    "`base:` is ignored when contexts are selected.",
    nothingFor(NBD_OPT_SET_META_CONTEXT, "base:"),
  ),
  set.must(
    "unknown-leaf-is-ignored",
    "A base: name that is not known is ignored.",
    nothingFor(NBD_OPT_SET_META_CONTEXT, "base:nbd-check"),
  ),
  set.must(
    "unknown-namespace-is-ignored",
    "A namespace that is not known is ignored.",
    nothingFor(NBD_OPT_SET_META_CONTEXT, "x-nbd-check:anything"),
  ),
  set.must(
    "without-queries-selects-nothing",
    "Without queries no context is selected.",
    nothingFor(NBD_OPT_SET_META_CONTEXT),
  ),
  set.must(
    "query-beyond-data-is-invalid",
    "A query that reaches beyond the option is refused as invalid.",
    malformed(NBD_OPT_SET_META_CONTEXT),
  ),
  set.must(
    "replaces-the-last-selection",
    "What was selected before is not selected any more.",
    function* run(context) {
      const peer = yield* ready(context);
      yield* select(peer, context.exportName, [ALLOCATION]);
      yield* select(peer, context.exportName, []);
      yield* hasNone(context, peer);
    },
    needsAllocation,
    needsGo,
  ),
  set.must(
    "failing-replaces-too",
    "A selection that fails leaves none of the last one.",
    function* run(context) {
      const peer = yield* ready(context);
      yield* select(peer, context.exportName, [ALLOCATION]);
      const outcome = yield* ask(peer, NBD_OPT_SET_META_CONTEXT, badQuery(context));
      if (!refused(outcome)) skip("the server takes a bad query");
      yield* hasNone(context, peer);
    },
    needsAllocation,
    needsGo,
  ),
  set.should(
    "counts-for-its-export-only",
    "A selection for another export's name does not count.",
    function* run(context) {
      const peer = yield* ready(context);
      yield* select(peer, context.exportName, [ALLOCATION]);
      yield* select(peer, UNKNOWN_EXPORT, [ALLOCATION]);
      yield* hasNone(context, peer);
    },
    needsAllocation,
    needsGo,
  ),
];
