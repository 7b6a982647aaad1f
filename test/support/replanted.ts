/**
 * Replanted bugs: what programs on persistent memory get wrong, each a few lines away from a twin
 * that is right. The switch is the argument.
 */
import {
  copyWithoutFence,
  firstLegOnly,
  flushAfterAck,
  flushBeforeStore,
  missingFence,
  missingFlush,
  wrongRange,
} from "./replanted-flushes.ts";
import {
  checksumLess,
  commitBeforePayload,
  headBeforeNode,
  sizeBeforeData,
  tornIndex,
} from "./replanted-order.ts";
import type { Replanted } from "./replanted-proofs.ts";
import {
  halfABattery,
  recoveryForgetsFlush,
  recoveryNotIdempotent,
  trustsTheBattery,
  trustsVolatile,
  undoDroppedEarly,
} from "./replanted-trust.ts";

/** The corpus, by name. */
export const replanted = {
  missingFlush,
  missingFence,
  wrongRange,
  firstLegOnly,
  commitBeforePayload,
  tornIndex,
  sizeBeforeData,
  checksumLess,
  flushAfterAck,
  flushBeforeStore,
  copyWithoutFence,
  headBeforeNode,
  trustsTheBattery,
  halfABattery,
  trustsVolatile,
  undoDroppedEarly,
  recoveryForgetsFlush,
  recoveryNotIdempotent,
} satisfies Record<string, Replanted>;
