/**
 * A thread of the crash suite.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { type AceThreadData, runAceParts } from "./ace-threads.ts";

parentPort?.postMessage(runAceParts(workerData as AceThreadData), []);
