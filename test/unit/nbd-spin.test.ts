/**
 * How a thread waits: it asks as often as has paid lately, and not on a crowded machine.
 */
import { expect, test } from "vitest";
import { EAGAIN, MSG_DONTWAIT, type SocketCalls } from "../../src/node/nbd/sockets.unsafe.ts";
import { AdaptiveSpin } from "../../src/node/nbd/spin.ts";

/** A socket that answers the attempt of that number; how often it was asked, and how it ended. */
function waits(
  spin: AdaptiveSpin,
  answersAt: number,
  requests = 0,
): { asked: number; slept: boolean } {
  let asked = 0;
  let slept = false;
  const got = spin.receive((flags) => {
    if (flags !== MSG_DONTWAIT) slept = true;
    else if (++asked <= answersAt) return -1;
    return 28;
  }, requests);
  expect(got).toBe(28);
  return { asked, slept };
}

function never(): never {
  throw new Error("not used here");
}

function calls(yieldProcessor: () => number): SocketCalls {
  const rest = { recvmsg: never, sendmsg: never, shutdown: never, close: never };
  return { ...rest, yieldProcessor, errno: () => EAGAIN };
}

test("what comes soon is received without sleeping", () => {
  const spin = new AdaptiveSpin(
    calls(() => 0),
    () => 0,
  );
  for (let i = 0; i < 100; i++) expect(waits(spin, 5)).toEqual({ asked: 6, slept: false });
});

test("where nothing comes, it asks less and less, and tries again now and then", () => {
  const spin = new AdaptiveSpin(
    calls(() => 0),
    () => 0,
  );
  const first = Array.from({ length: 8 }, () => waits(spin, Infinity));
  expect(first.every(({ slept }) => slept)).toBe(true);
  expect(first.map(({ asked }) => asked)).toEqual([64, 32, 16, 8, 4, 2, 1, 0]);
  const later = Array.from({ length: 64 }, () => waits(spin, Infinity).asked);
  expect(later.filter((asked) => asked > 0).length).toBeGreaterThan(1);
  expect(later.reduce((sum, asked) => sum + asked)).toBeLessThan(64 * 16);
});

test("where giving way takes long it sleeps at once, and soon always", () => {
  let yields = 0;
  let clock = 0;
  const slow = () => {
    yields++;
    clock += 3;
    return 0;
  };
  const spin = new AdaptiveSpin(calls(slow), () => clock);
  for (let i = 0; i < 200; i++) expect(waits(spin, Infinity).slept).toBe(true);
  expect(yields).toBeLessThan(6);
});

test("a client that takes its time and comes with many requests makes no crowd", () => {
  let yields = 0;
  let clock = 0;
  const slow = () => {
    yields++;
    clock += 0.5;
    return 0;
  };
  const spin = new AdaptiveSpin(calls(slow), () => clock);
  for (let i = 0; i < 200; i++) waits(spin, Infinity, i * 64);
  expect(yields).toBe(200);
  // One request for half a millisecond is what a crowd leaves.
  for (let i = 0; i < 200; i++) waits(spin, Infinity, 200 * 64 + i);
  expect(yields).toBeLessThan(206);
});

test("an error ends the asking", () => {
  const spin = new AdaptiveSpin({ ...calls(() => 0), errno: () => 104 }, () => 0);
  let asked = 0;
  expect(spin.receive(() => (asked++, -1), 0)).toBe(-1);
  expect(asked).toBe(1);
});
