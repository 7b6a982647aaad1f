/**
 * The mapper that keeps devices between two runs of `daxkit dmsetup`: found, or started.
 *
 * @module
 */
import { join } from "node:path";
import { type MapperAnswer, type MapperRequest, askMapper } from "../node/dm/mapper-talk.ts";
import { DaxError } from "../lib/errno.ts";
import { startInBackground } from "./background.ts";
import { madeRuntimeFolder, runtimeFolder } from "./runtime-folder.ts";

/** What a mapper's process says at its start. */
export type MapperReport =
  | { readonly serves: "this" | "another" }
  | { readonly serves: "none"; readonly text: string };

/** A mapper may end just when it is asked; more often than this it is no accident. */
export const TRIES = 20;
export const PAUSE_MS = 50;

/** Waits so many milliseconds. */
export async function passed(milliseconds: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}

/** Where commands go unless told otherwise. */
export function usualMapper(): string {
  return join(runtimeFolder(), "mapper");
}

/** Asks the mapper at `control`; starts one where there is none. @throws as {@link askMapper} */
export async function askOrStart(control: string, request: MapperRequest): Promise<MapperAnswer> {
  for (let i = 0; i < TRIES; i++) {
    // oxlint-disable-next-line no-await-in-loop -- one try after the other
    const answer = (await askMapper(control, request)) ?? (await started(control, request));
    if (answer !== undefined) return answer;
    // Who holds the lock is on its way to listening, or to its end.
    // oxlint-disable-next-line no-await-in-loop -- the same
    await passed(PAUSE_MS);
  }
  const detail = "a mapper has its place and does not answer; give another with --mapper";
  throw new DaxError("EBUSY", { syscall: "dmsetup", path: control, detail });
}

async function started(control: string, request: MapperRequest): Promise<MapperAnswer | undefined> {
  if (control === usualMapper()) madeRuntimeFolder();
  const start = await startInBackground<MapperReport>("mapper-child", control);
  const report: MapperReport =
    "report" in start ? start.report : { serves: "none", text: start.silent };
  if (report.serves !== "none") return await askMapper(control, request);
  const detail = `no mapper can be started: ${report.text}`;
  throw new DaxError("EIO", { syscall: "dmsetup", path: control, detail });
}
