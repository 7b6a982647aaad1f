/**
 * `--trace FILE`: what dax does while a command works.
 *
 * @module
 */

/** The option of every command that makes dax work. */
export const TRACE_OPTION = {
  trace: {
    type: "file",
    value: "FILE",
    text: "write DAX trace events there: FILE.json for Perfetto, else lines of JSON",
  },
} as const;

/** Runs `body` while events are written to a file, if there is one. @throws what the file says */
export async function traced<T>(path: string | undefined, body: () => T | Promise<T>): Promise<T> {
  if (path === undefined) return await body();
  const { traceDaxToFile } = await import("../node/dax-trace-file.ts");
  const file = traceDaxToFile(path);
  try {
    return await body();
  } finally {
    file.close();
  }
}
