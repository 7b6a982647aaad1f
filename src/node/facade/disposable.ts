/**
 * `mkdtempDisposable`, as Node 24 has it: a temporary directory that goes when its owner does.
 *
 * @module
 */
import type { Function_ } from "./arguments.ts";
import type { VolumeFs } from "./facade.ts";

type Calls = Pick<VolumeFs, "mkdtempSync" | "rmSync">;

function removing({ rmSync }: Calls, path: string): () => void {
  return () => rmSync(path, { recursive: true, force: true });
}

/** `mkdtempDisposableSync`. */
export function temporarySync(calls: Calls): Function_ {
  return (...args) => {
    const path = calls.mkdtempSync(...(args as [string]));
    const remove = removing(calls, path);
    return { path, remove, [Symbol.dispose]: remove };
  };
}

/** `promises.mkdtempDisposable`. */
export function temporaryLater(calls: Calls): Function_ {
  return async (...args) => {
    const path = calls.mkdtempSync(...(args as [string]));
    const removeNow = removing(calls, path);
    const remove = async (): Promise<void> => removeNow();
    return { path, remove, [Symbol.asyncDispose]: remove };
  };
}
