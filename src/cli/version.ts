/**
 * The version of this package.
 *
 * @module
 */
import { readFileSync } from "node:fs";

/** Reads it from the package's own manifest, so that it stands in one place only. */
export function packageVersion(): string {
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}
