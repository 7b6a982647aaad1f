/**
 * The parts of daxkit that need Node.
 *
 * @module
 */
export { systemEnvironment } from "./environment.ts";
export { openFileMedia } from "./file-media.ts";
export type { FileMedia, FileMediaCounters, OpenFileOptions } from "./media-file.ts";
