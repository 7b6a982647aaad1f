/**
 * The journal under power cuts: on modelled memory, with every state that may be left, what was
 * committed is there, what was not is wholly absent, and no flush can be left out.
 *
 * In CI each flush is left out in turn; `DAXKIT_LONG=1` also cuts power in every recovery.
 */
import { describe, expect, test } from "vitest";
import { flushSitesInSource } from "../support/ext-flushes.ts";
import { type Extent, type Scenario, cutEverywhere } from "../support/journal-crash.ts";
import { SCENARIOS, V3, ordered, upgraded } from "../support/journal-scenarios.ts";

const LONG = process.env["DAXKIT_LONG"] !== undefined;

/** What is to be said against a scenario; empty when every state was seen, and was right. */
function objections(scenario: Scenario, extent: Extent): unknown[] {
  const found = cutEverywhere(scenario, {}, extent);
  const missed = found.tallies.filter(({ covered, space }) => covered !== space);
  const reasons = [found.failure?.objection, found.cut || undefined, found.unmeasurable];
  return [...reasons.filter((reason) => reason !== undefined), ...missed];
}

describe("every state that a power cut may leave is a prefix of what was committed", () => {
  test.each(SCENARIOS)("$name", (scenario) => {
    expect(objections(scenario, { depth: LONG ? 2 : 1 })).toEqual([]);
  });

  test.each([ordered("checksums", V3), upgraded()])("power cut again in recovery: $name", (two) => {
    expect(objections(two, { depth: 2, torn: "line" })).toEqual([]);
  });
});

const wanted = LONG || process.env["CI"] !== undefined;
const hint = wanted ? "" : " (skipped: takes long; set DAXKIT_LONG=1)";

describe.runIf(wanted)(`every flush is needed${hint}`, () => {
  const places = new Map<string, Scenario[]>();
  for (const scenario of SCENARIOS) {
    const here = new Set<string>();
    cutEverywhere(scenario, { seen: (site) => here.add(site) }, { depth: 1, torn: "line" });
    for (const site of here) places.set(site, [...(places.get(site) ?? []), scenario]);
  }

  test("all places in the journal's source are among them", () => {
    const seen = new Set([...places.keys()].map((site) => site.replace(/ < .*$/u, "")));
    const sites = flushSitesInSource().filter((site) => /^(?:in-place-)?journal/u.test(site));
    expect([...seen].filter((site) => sites.includes(site)).toSorted()).toEqual(sites.toSorted());
  });

  test.each([...places])("%s", (site, users) => {
    const noticed = [1, 2].some((depth) =>
      users.some((scenario) => {
        const { failure } = cutEverywhere(scenario, { without: site }, { depth, torn: "line" });
        return failure !== undefined;
      }),
    );
    expect(noticed).toBe(true);
  });
});
