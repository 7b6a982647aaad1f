/**
 * `daxkit check`.
 *
 * @module
 */
import type { Environment } from "../../lib/environment.ts";
import type { Finding } from "../../vfs/filesystem.ts";
import { STATUS_FINDING, STATUS_OK, command } from "../command.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS, withImages } from "../images.ts";
import { shownName } from "../names.ts";
import { printable } from "../output.ts";
import type { Progress, Terminal } from "../terminal.ts";

/** What is counted, worst first. */
const SEVERITIES = ["error", "warning", "note"] as const;
const STYLES = { error: "bad", warning: "warning", note: "faint" } as const;

export const check = command({
  name: "check",
  summary: "check the filesystem of an image, without changing it",
  description: [
    "Reads all metadata and reports what is wrong with it, as e2fsck -fn does. Damage that keeps " +
      "the image from being mounted is reported like any other.",
    "With --json each finding is a line, and the last line of each image counts them: " +
      "'clean', 'errors', 'warnings', 'notes'.",
  ],
  json: "lines",
  operands: [{ name: "IMAGE", text: "an image", count: "many" }],
  options: {
    quiet: { type: "flag", short: "q", text: "print nothing; the exit status tells" },
    ...IMAGE_OPTIONS,
  },
  exclusive: IMAGE_EXCLUSIVE,
  examples: [
    { line: "daxkit check disk.img", text: "checks an image" },
    {
      line: "daxkit check --json *.img | jq 'select(.errors > 0).image'",
      text: "names the images that are damaged",
    },
  ],
  statuses: { 1: "an error was found; warnings and notes alone are 0" },
  async run(invocation) {
    const { values, operands, json, out, terminal } = invocation;
    const [{ checkVolume }, { systemEnvironment }] = await Promise.all([
      import("../../node/volume.ts"),
      import("../../node/environment.ts"),
    ]);
    const hearing = (progress: Progress): Environment => ({
      ...systemEnvironment,
      trace: {
        event(_, { pass, done, total }) {
          if (pass !== undefined) progress.step(Number(done), Number(total), String(pass));
        },
      },
    });
    let errors = 0;
    const status = await withImages(invocation, (images) => {
      images.eachWhole(operands, (image) => {
        const count = { error: 0, warning: 0, note: 0 };
        const progress = terminal.progress(`checking ${image}`);
        const environment = hearing(progress);
        for (const finding of checkVolume(image, { ...images.where, environment })) {
          count[finding.severity]++;
          if (values.quiet) continue;
          progress.finish();
          if (json) out.json({ image, ...finding });
          else out.line(lineOf(finding, terminal));
        }
        progress.finish();
        errors += count.error;
        if (values.quiet) return;
        if (json) out.json({ image, ...totals(count) });
        else out.line(`${shownName(out, image)}: ${summary(count)}`);
      });
    });
    return status === STATUS_OK && errors > 0 ? STATUS_FINDING : status;
  },
});

function lineOf({ severity, code, where, text }: Finding, terminal: Terminal): string {
  const label = terminal.style(STYLES[severity], severity);
  return `${label} ${code}: ${printable(where)}: ${printable(text)}`;
}

type Count = Readonly<Record<Finding["severity"], number>>;

/** The last record of an image, and the only one of a clean one. */
function totals({ error, warning, note }: Count): object {
  return { clean: error + warning + note === 0, errors: error, warnings: warning, notes: note };
}

function summary(count: Count): string {
  const parts = SEVERITIES.filter((severity) => count[severity] > 0).map(
    (severity) => `${count[severity]} ${severity}${count[severity] === 1 ? "" : "s"}`,
  );
  return parts.length === 0 ? "clean" : parts.join(", ");
}
