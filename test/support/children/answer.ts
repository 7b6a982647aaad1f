/**
 * How a child tells its test what happened.
 */
import { isDaxError } from "../../../src/lib/errno.ts";

/** The error that `call` throws, as `CODE detail`; `none` when it throws nothing. */
export function outcome(call: () => unknown): string {
  try {
    call();
    return "none";
  } catch (error) {
    return isDaxError(error) ? `${error.code} ${error.path} ${error.detail}` : String(error);
  }
}

/** Prints the answer; the last thing that a child does. */
export function answer(value: unknown): void {
  process.stdout.write(JSON.stringify(value));
}
