/** How commands that stay until somebody ends them are ended. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { waitForSignal } from "../../src/cli/signals.ts";

const handlers = (): number => process.listenerCount("SIGTERM");

describe("waiting for a signal", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("answers the first, and lets the same wish come twice", async () => {
    const before = handlers();
    const wait = waitForSignal();
    expect(handlers()).toBe(before + 1);
    process.emit("SIGTERM", "SIGTERM");
    wait.cancel();
    // timeout(1) sends it to the process and to its group.
    process.emit("SIGTERM", "SIGTERM");
    process.emit("SIGHUP", "SIGHUP");
    expect(await wait.signal).toBe("SIGTERM");
    expect(handlers()).toBe(before + 1);
  });

  it("leaves a later one to the system", async () => {
    const before = handlers();
    const wait = waitForSignal();
    process.emit("SIGHUP", "SIGHUP");
    expect(await wait.signal).toBe("SIGHUP");
    vi.advanceTimersByTime(1000);
    expect(handlers()).toBe(before);
  });

  it("waits no longer when it is cancelled", () => {
    const before = handlers();
    const wait = waitForSignal();
    wait.cancel();
    wait.cancel();
    expect(handlers()).toBe(before);
    expect(vi.getTimerCount()).toBe(0);
  });
});
