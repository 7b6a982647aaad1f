/**
 * The worker of `truncated.ts`: maps a file, loses it, and stays alive.
 */
import { truncateSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { openFileMedia } from "../../../src/node/file-media.ts";
import { outcome } from "./answer.ts";

const path = String(workerData);
const media = openFileMedia(path, { create: 65536 });
const { memory } = media.window(0);
truncateSync(path, 0);
const value = memory.getUint8(9000);
const error = outcome(() => media.checkFault?.());
parentPort?.postMessage({ value, error }, []);
setInterval(() => {}, 1000);
