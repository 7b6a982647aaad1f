/**
 * The three flavours of an operation, made from its one description.
 *
 * @module
 */
import { promisify } from "node:util";
import { type Function_, checkFunction } from "./arguments.ts";
import type { Context } from "./context.ts";
import type { Operation } from "./operation.ts";

/** `readFileSync`. */
export function synchronous(context: Context, operation: Operation): Function_ {
  if (operation.immediate === undefined) {
    return (...args) => operation.prepare(context, args, "sync")();
  }
  return (...args) =>
    operation.immediate?.(context, args) ?? operation.prepare(context, args, "sync")();
}

/** `promises.readFile`: whatever is wrong, arguments included, rejects. */
export function promised(context: Context, operation: Operation): Function_ {
  return async (...args) => {
    const work = operation.prepare(context, args, "promise");
    if (context.turn !== undefined) await context.turn();
    return work();
  };
}

/**
 * `readFile(…, callback)`. Arguments are checked at once; the work is done, and the callback
 * called, in a later turn of the event loop: a walk over many files lets other things happen.
 */
export function withCallback(context: Context, operation: Operation): Function_ {
  const call: Function_ = (...args) => {
    const index = args.findLastIndex((arg) => typeof arg === "function");
    const callback = index === -1 ? undefined : args[index];
    checkFunction(callback, "cb");
    const work = operation.prepare(context, args.slice(0, index), "callback");
    setImmediate(() => settle(operation, work, callback));
  };
  if (operation.passed === undefined) return call;
  // Two values behind the error: `promisify` gives an object of them, as it does for `fs.read`.
  return Object.defineProperty(call, promisify.custom, { value: promised(context, operation) });
}

function settle(operation: Operation, work: () => unknown, callback: Function_): void {
  let result: unknown;
  try {
    result = work();
  } catch (error) {
    callback(error);
    return;
  }
  if (!(result instanceof Promise)) pass(operation, result, callback);
  else {
    // Out of the promise: what a callback throws is nobody's rejection.
    result.then(
      (value: unknown) => setImmediate(() => pass(operation, value, callback)),
      (error: unknown) => setImmediate(() => callback(error)),
    );
  }
}

function pass(operation: Operation, result: unknown, callback: Function_): void {
  if (operation.passed !== undefined) callback(null, ...operation.passed(result));
  else if (result === undefined) callback(null);
  else callback(null, result);
}

/** `exists(path, callback)`: the one callback of Node's without an error in front. */
export function existsWithCallback(context: Context, operation: Operation): Function_ {
  const call: Function_ = (path, callback) => {
    checkFunction(callback, "cb");
    setImmediate(() => callback(operation.prepare(context, [path], "callback")()));
  };
  return Object.defineProperty(call, promisify.custom, { value: promised(context, operation) });
}
