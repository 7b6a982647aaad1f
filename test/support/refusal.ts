/**
 * What a call refuses with.
 */
import { DaxError } from "../../src/lib/errno.ts";

/** The typed error that `body` throws; anything else fails the test. */
export function refusal(body: () => unknown): DaxError {
  try {
    body();
  } catch (error) {
    if (error instanceof DaxError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}
