/**
 * What checks need of a server to be tried.
 *
 * @module
 */
import { NBD_FLAG_READ_ONLY } from "../../format/nbd.ts";
import type { Need } from "./check.ts";

export const needsGo: Need = ({ go }) => (go ? undefined : "the server has no INFO and GO");

export const needsStructured: Need = ({ structured }) =>
  structured ? undefined : "the server has no structured replies";

export const needsExtended: Need = ({ extended }) =>
  extended ? undefined : "the server has no extended headers";

export const needsAllocation: Need = ({ contexts }) =>
  contexts.includes("base:allocation") ? undefined : "the server has no base:allocation";

export const needsUnknownName: Need = ({ anyName }) =>
  anyName ? "the server serves any export name" : undefined;

export const needsWritable: Need = ({ info }) =>
  (info.flags & NBD_FLAG_READ_ONLY) === 0 ? undefined : "the export is read-only";

export const needsReadOnly: Need = ({ info }) =>
  (info.flags & NBD_FLAG_READ_ONLY) === 0 ? "the export is writable" : undefined;

export const needsAdvertised: Need = ({ info }) =>
  info.advertised === undefined ? "the server advertises no block sizes" : undefined;

export const needsBlocks: Need = ({ info }) =>
  info.blockSizes.minimum === 1 ? "the minimum block size is 1" : undefined;

/** A server of other sizes may refuse a client that cannot learn them. */
export const needsDefaultSizes: Need = ({ info }) =>
  info.blockSizes.minimum === 1 ? undefined : "the server has block sizes of its own";

/** A transmission flag. */
export function needsFlag(flag: number, name: string): Need {
  return ({ info }) => ((info.flags & flag) === 0 ? `the server has no ${name}` : undefined);
}

/** That a transmission flag is clear. */
export function needsNoFlag(flag: number, name: string): Need {
  return ({ info }) => ((info.flags & flag) === 0 ? undefined : `the server has ${name}`);
}

/** That one request may carry so much. */
export function needsPayload(bytes: number): Need {
  return ({ info: { blockSizes } }) =>
    blockSizes.maximum >= bytes ? undefined : `a payload has ${blockSizes.maximum} bytes at most`;
}

/** Room for what a check does. */
export function needsSize(bytes: number): Need {
  return ({ info }) =>
    info.size >= bytes ? undefined : `the export has ${info.size} bytes, and it takes ${bytes}`;
}
