/**
 * Files that are written in the end: whether that can be is known before.
 *
 * @module
 */
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { UsageError } from "./command.ts";

/** @throws UsageError for a directory; as access(2) for what may not be written */
export function refuseUnwritable(path: string): void {
  if (existsSync(path) && statSync(path).isDirectory()) {
    throw new UsageError(`'${path}' is a directory; name a file`);
  }
  accessSync(existsSync(path) ? path : dirname(resolve(path)), constants.W_OK);
}
