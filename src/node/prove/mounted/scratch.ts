/**
 * A folder for temporary files, which goes away.
 *
 * @module
 */
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** See the module. */
export class Scratch {
  readonly path = mkdtempSync(join(tmpdir(), "daxkit-prove-"));
  readonly #open: number[] = [];

  /** A new file, open to be read and appended to. */
  file(name: string): { readonly path: string; readonly fd: number } {
    const path = join(this.path, name);
    const fd = openSync(path, "a+", 0o600);
    this.#open.push(fd);
    return { path, fd };
  }

  /** A file of somebody else, made if need be; what it holds already is passed over. */
  given(path: string): { readonly path: string; readonly fd: number } {
    const fd = openSync(path, "a+");
    this.#open.push(fd);
    return { path: resolve(path), fd };
  }

  [Symbol.dispose](): void {
    for (const fd of this.#open.splice(0)) closeSync(fd);
    rmSync(this.path, { recursive: true, force: true });
  }
}
