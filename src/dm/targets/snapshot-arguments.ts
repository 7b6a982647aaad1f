/**
 * The arguments of snapshot and snapshot-merge.
 *
 * @module
 */
import { isDaxError } from "../../lib/errno.ts";
import { Arguments, MOST_UINT } from "../arguments.ts";
import type { Leg } from "../leg.ts";
import type { TargetContext } from "../target.ts";
import { wholeUnsigned } from "../words.ts";
import { type ExceptionStore, TransientStore } from "./exception-store.ts";
import { storeOn } from "./origins.ts";
import { PersistentStore, wrongChunkSize } from "./persistent-store.ts";

/** Sectors of a chunk that nobody chose. */
const USUAL_CHUNK = 32;

/** What a snapshot is made of. */
export interface SnapshotParts {
  readonly origin: Leg;
  readonly cow: Leg;
  readonly type: "P" | "PO" | "N";
  /** Sectors of a chunk; what the device says goes before what was given. */
  readonly given: number;
  readonly features: readonly string[];
  readonly store: ExceptionStore;
}

/** @throws EINVAL, ENODEV and ENXIO in the kernel's words */
export function readSnapshot(words: readonly string[], context: TargetContext): SnapshotParts {
  if (words.length < 4) {
    const cause = `ORIGIN COW P|PO|N CHUNK_SIZE; here are ${words.length}`;
    context.refuse("EINVAL", "requires 4 or more arguments", cause);
  }
  const given = new Arguments(words, context);
  const [originWord, cowWord, word, size] = given.take(4);
  const features = featuresOf(given, context);
  const origin = context.open(originWord, "Cannot get origin device");
  const cow = context.open(cowWord, "Cannot get COW device");
  if (cow === origin) {
    const error = "COW device cannot be the same as origin device";
    context.refuse("EINVAL", error, `both are ${cow.device.name}`);
  }
  const type = typeOf(word);
  if (type === undefined) return wrong(context, `"${word ?? ""}" is none of P, PO and N`);
  const sectors = wholeUnsigned(size, MOST_UINT);
  if (sectors === undefined) return wrong(context, `Invalid chunk size: "${size ?? ""}"`);
  if (sectors === 0 && type === "N") {
    context.refuse("EINVAL", "Chunk size not set", "nothing on the device says how large one is");
  }
  const why = sectors === 0 ? undefined : wrongChunkSize(sectors, cow.device);
  if (why !== undefined) return wrong(context, `${why}: ${sectors} sectors`);
  const store = storeOf(origin, cow, type, sectors === 0 ? USUAL_CHUNK : sectors, context);
  return { origin, cow, type, given: store.chunkSize, features, store };
}

/** The first letter counts; what stands behind an N does not. */
function typeOf(word = ""): SnapshotParts["type"] | undefined {
  const type = word.toUpperCase();
  if (type.startsWith("N")) return "N";
  return type === "P" || type === "PO" ? type : undefined;
}

function wrong(context: TargetContext, cause: string): never {
  return context.refuse("EINVAL", "Couldn't create exception store", cause);
}

/** A store that another table of the same snapshot has is taken over as it is. */
function storeOf(
  origin: Leg,
  cow: Leg,
  type: SnapshotParts["type"],
  chunkSize: number,
  context: TargetContext,
): ExceptionStore {
  const known = storeOn(origin.device, cow.device);
  const isPersistent = type !== "N";
  if (known !== undefined && known instanceof PersistentStore === isPersistent) return known;
  try {
    if (!isPersistent) return new TransientStore(cow.device, chunkSize);
    return new PersistentStore(cow.device, chunkSize);
  } catch (error) {
    if (!isDaxError(error)) throw error;
    const told = "Failed to read snapshot metadata";
    return context.refuse(error.code, told, error.detail ?? error.message);
  }
}

function featuresOf(given: Arguments, context: TargetContext): string[] {
  if (given.left === 0) return [];
  const words = given.group(0, 2, "Invalid number of feature arguments");
  const features = words.take(words.left).map((word) => word.toLowerCase());
  for (const word of features) {
    if (word !== "discard_zeroes_cow" && word !== "discard_passdown_origin") {
      context.refuse("EINVAL", "Unrecognised feature requested", `"${word}" is none`);
    }
  }
  if (features.includes("discard_passdown_origin")) {
    const error = "discard_passdown_origin feature depends on discard_zeroes_cow";
    const cause = "discards of a snapshot never reach its origin here";
    context.refuse("EINVAL", features.length > 1 ? "Unrecognised feature requested" : error, cause);
  }
  return [...new Set(features)];
}
