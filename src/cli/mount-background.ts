/**
 * A mount in the background: a process of its own serves it, and whoever started it hears when it
 * can be used, or why it cannot.
 *
 * @module
 */
import { startInBackground } from "./background.ts";
import type { MountPlan } from "./mount-serve.ts";

/** What the process is told, as JSON in its only argument. */
export interface BackgroundJob extends MountPlan {
  /** A file for what goes wrong later; the system's log unless given. */
  readonly log: string | undefined;
}

/** What it says of itself. */
export type BackgroundReport =
  | { readonly mounted: true; readonly directory: string; readonly pid: number }
  | { readonly mounted: false; readonly code: string | undefined; readonly text: string };

/** Mounts in the background; resolves when it can be used, or will never be. */
export async function mountInBackground(job: BackgroundJob): Promise<BackgroundReport> {
  const started = await startInBackground<BackgroundReport>("mount-child", job);
  if ("report" in started) return started.report;
  return { mounted: false, code: undefined, text: started.silent };
}
