/**
 * Would our tests notice a missing flush? A slice of `npm run persistence-coverage`, which answers
 * it for every persistence point of our sources, and what holds it to them: nothing can be
 * forgotten.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { instrument } from "../../scripts/persistence/instrument.ts";
import { PAGE, noticedOn } from "../../scripts/persistence/page.ts";
import { sitesIn, sitesOf, sourcesOf } from "../../scripts/persistence/sites.ts";
import { SURVIVORS, reasonFor } from "../../scripts/persistence/survivors.ts";
import { BUGS } from "../support/planted/bugs.ts";

const root = join(import.meta.dirname, "..", "..");

test("a new point is found by what it calls", () => {
  const found = sitesIn(
    "src/fs/ext/new.ts",
    `export function f(a, flags: { readonly fua?: boolean }) {
       a.device.flush(); a.fence(); a.write(1, b, { fua: true }); a.write(1, b, flags);
       journal.commit(); handle.onBeforeCommit(() => {}); handle.sync = true; a.write(1, b);
     }`,
  );
  const kinds = found.map(({ kind }) => kind).join(" ");
  expect(kinds).toBe("flush fence fua fua order order flush");
});

test("what has such a name and leads to no point is none", () => {
  const found = sitesIn(
    "src/node/new.ts",
    `class Lines {
       flush() { this.write(); }
       end() { this.flush(); }
     }
     class Device {
       flush() { this.inner.flush(); }
       end() { this.flush(); }
     }
     const lines = new Lines();
     lines.flush();`,
  );
  expect(found.map(({ id }) => id)).toEqual([
    "node/new.ts#Device.flush this.inner.flush",
    "node/new.ts#Device.end this.flush",
  ]);
});

test("the corpus has 50 bugs and more, and each fits the sources as they are", () => {
  expect(BUGS.length).toBeGreaterThanOrEqual(50);
  expect(new Set(BUGS.map(({ name }) => name)).size).toBe(BUGS.length);
  for (const file of sourcesOf(root)) {
    const bugs = BUGS.filter(({ patches }) => patches.some((patch) => patch.file === file));
    const text = readFileSync(join(root, file), "utf8");
    // It throws where a bug does not fit.
    const patched = bugs.length === 0 ? `${text}.` : instrument(file, text, bugs);
    expect(patched.length).toBeGreaterThan(text.length);
  }
  const files = new Set(sourcesOf(root));
  const strange = BUGS.flatMap(({ patches }) => patches).filter(({ file }) => !files.has(file));
  expect(strange).toEqual([]);
});

test("whoever adds a point adds its story: all are on the page, or there is a reason", () => {
  const sites = sitesOf(root);
  const page = readFileSync(join(root, PAGE), "utf8");
  const noticed = noticedOn(page);
  const mutants = sites.flatMap(({ id }) =>
    (["delete", "delay"] as const).map((how) => ({ site: id, how })),
  );
  const unknown = mutants.filter((one) => {
    return (noticed(one) === undefined) === (reasonFor(SURVIVORS, one) === undefined);
  });
  // Run `npm run persistence-coverage -- --site REGEX` until they are noticed, and then `--docs`.
  expect(unknown).toEqual([]);
  const known = new Set(sites.map(({ id }) => id));
  expect(SURVIVORS.filter(({ site }) => !known.has(site))).toEqual([]);
  const told = [...page.matchAll(/^\| `([^`]+#[^`]+)`/gmu)].map(([, id]) => id);
  expect(told.filter((id) => !known.has(id as string))).toEqual([]);
});

/** What is quick, from each floor; the rest is run by the command itself. */
const SLICE = "^(?:block/(?!buffers)|dm|nbd|media|drivers)/";

test("a slice of the points, and the bugs of these floors: all are noticed", async () => {
  const script = join(root, "scripts/persistence-coverage.ts");
  const tsx = join(root, "node_modules", ".bin", "tsx");
  const run = promisify(execFile);
  const args = [script, "--jobs", "1", "--quick", "--site", SLICE];
  const { stdout } = await run(tsx, args, { cwd: root });
  const [, noticed, most] = /^(\d+) of (\d+) noticed/mu.exec(stdout) ?? [];
  expect(Number(noticed)).toBeGreaterThan(60);
  expect(noticed).toBe(most);
  expect(stdout).toMatch(/^0 alarms in \d+ stories/mu);
  expect(stdout).toMatch(/^(\d+) of \1 replanted bugs found/mu);
});
