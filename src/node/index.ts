/**
 * The parts of daxkit that need Node.
 *
 * @module
 */
export { systemEnvironment } from "./environment.ts";
