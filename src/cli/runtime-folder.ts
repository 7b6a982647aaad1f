/**
 * Where processes of this user that stay in the background keep their small files.
 *
 * @module
 */
import { chmodSync, existsSync, lstatSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** This user's folder; it need not be there. */
export function runtimeFolder(): string {
  const uid = process.geteuid?.() ?? 0;
  if (uid === 0) return "/run/daxkit";
  const runtime = process.env["XDG_RUNTIME_DIR"] ?? "";
  const parent = runtime.startsWith("/") && existsSync(runtime) ? runtime : undefined;
  return parent === undefined ? join(tmpdir(), `daxkit-${uid}`) : join(parent, "daxkit");
}

/**
 * The same, made where it is missing.
 * @throws where it is somebody else's, or others can write to it: what we write might be theirs to
 *   choose
 */
export function madeRuntimeFolder(): string {
  const folder = runtimeFolder();
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (process.geteuid?.() === 0) chmodSync(folder, 0o755);
  const { uid, mode } = lstatSync(folder);
  if (uid !== process.geteuid?.() || (mode & 0o022) !== 0) {
    throw new Error(`${folder} is not our folder`);
  }
  return folder;
}
