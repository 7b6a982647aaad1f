/**
 * How a thread that watches ends what the main thread computes for ever: through V8's inspector.
 *
 * That reaches whatever promises run. A callback of a timer or a socket that never returns is the
 * one thing that ends the whole process: Node holds such callbacks to be left as they were entered.
 *
 * @module
 */

/** For the program of a watcher: a function that ends what the main thread computes. */
export const END_LOOP = `
function endLoop() {
  const { Session } = require("node:inspector");
  const session = new Session();
  session.connectToMainThread();
  session.post("Runtime.terminateExecution", () => session.disconnect());
}`;
