/**
 * Verdicts as JUnit's XML, which every CI shows.
 *
 * @module
 */
import type { VolumeVerdict } from "./volume-verdict.ts";
import type { Verdict } from "../../crash/verdict.ts";

/** A verdict, and its report. */
export interface JunitCase {
  readonly verdict: Pick<Verdict | VolumeVerdict, "kind" | "name">;
  readonly report: readonly string[];
  /** The file that holds the proof. */
  readonly file?: string;
}

/** One test suite: `Lost` is a failure, a broken harness an error, what is not measured skipped. */
export function toJunit(suite: string, cases: readonly JunitCase[]): string {
  const of = (kind: Verdict["kind"]): number =>
    cases.filter(({ verdict }) => verdict.kind === kind).length;
  const counts =
    `tests="${cases.length}" failures="${of("Lost")}" errors="${of("HarnessBroken")}" ` +
    `skipped="${of("NotMeasured")}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name="${escaped(suite)}" ${counts}>`,
    ...cases.map(testCase),
    "</testsuite>",
    "",
  ].join("\n");
}

const ELEMENTS = { Lost: "failure", HarnessBroken: "error", NotMeasured: "skipped" } as const;

function testCase({ verdict, report, file }: JunitCase): string {
  const where = file === undefined ? "" : ` classname="${escaped(file)}" file="${escaped(file)}"`;
  const open = `  <testcase name="${escaped(verdict.name)}"${where}`;
  if (verdict.kind === "Survived") return `${open}/>`;
  const element = ELEMENTS[verdict.kind];
  const [title = ""] = report;
  const text = escaped(report.join("\n"));
  const failed = `    <${element} message="${escaped(title)}">${text}</${element}>`;
  return `${open}>\n${failed}\n  </testcase>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

function escaped(text: string): string {
  const plain = text.replaceAll(/[&<>"]/gu, (character) => ENTITIES[character] ?? "");
  // What XML cannot hold at all.
  return plain.replaceAll(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, "?");
}
