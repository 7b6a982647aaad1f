/**
 * A process that runs checks, one after the other; see {@link CheckRunner}.
 *
 * @module
 */
import type { CheckReply, CheckRequest } from "./check-messages.ts";
import { CheckRunner } from "./check-runner.ts";
import { CopiedMounts } from "./mount-space.ts";

/** Between looks at what somebody has unmounted. */
const FOLLOW_MS = 100;

let runner: CheckRunner | undefined;

function tell(reply: CheckReply): void {
  process.send?.(reply);
}

function end(): never {
  runner?.close();
  process.exit(0);
}

function follow(copied: CopiedMounts): void {
  setTimeout(() => void copied.follow().then(() => follow(copied)), FOLLOW_MS).unref();
}

async function hear(request: CheckRequest): Promise<void> {
  if (request.kind === "settings") {
    runner = new CheckRunner(request.settings, request.space);
    if (request.space === "root") follow(new CopiedMounts(process.ppid));
    tell({ kind: "ready" });
    return;
  }
  if (runner === undefined) return;
  try {
    tell({ kind: "outcome", outcome: await runner.run(request.job) });
  } catch (error) {
    const broken = error instanceof Error ? error.message : String(error);
    tell({ kind: "outcome", outcome: { looks: [], broken } });
  }
}

process.on("message", (request: CheckRequest) => void hear(request));
process.once("disconnect", end);
// A terminal's Ctrl-C reaches everybody; who started this process ends it.
for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => {});
process.once("SIGTERM", end);
