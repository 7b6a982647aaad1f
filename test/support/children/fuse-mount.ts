/**
 * Mounts servers that hold nothing, and does what the lines of its standard input say. Arguments:
 * JSON of `Wish`. Each line out is the outcome of one thing: `ok`, or an error's code and message.
 */
import { createInterface } from "node:readline";
import type { MountServerOptions } from "../../../src/node/fuse/mount-options.ts";
import { type FuseMount, mountServer, unmountAll } from "../../../src/node/fuse/mount-server.ts";
import type { UnmountOptions } from "../../../src/node/fuse/unmounting.ts";
import { EmptyServer } from "../empty-fuse.ts";

/** What is mounted, and how. */
export interface Wish {
  readonly directories: readonly string[];
  readonly options?: MountServerOptions;
  readonly size?: number;
  /** Opcodes that get no answer. */
  readonly silent?: readonly number[];
}

/** A line of standard input. */
export type Order =
  | { readonly unmount: number | "all"; readonly options?: UnmountOptions }
  | { readonly ended: number }
  /** The outcome is `ok` and the bytes of objects that are there, garbage included. */
  | { readonly heap: true };

const { directories, options, size = 0, silent = [] } = JSON.parse(process.argv[2] ?? "") as Wish;
const mounts: FuseMount[] = [];

async function tell(call: () => Promise<unknown>): Promise<void> {
  try {
    const said = await call();
    process.stdout.write(typeof said === "number" ? `ok ${said}\n` : "ok\n");
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    process.stdout.write(`${code} ${message}\n`);
  }
}

async function mountAll(): Promise<void> {
  for (const directory of directories) {
    const server = new EmptyServer({ size, silent: new Set(silent) });
    // One after the other, so that they can be told apart by their numbers.
    // oxlint-disable-next-line no-await-in-loop
    mounts.push(await mountServer(server, directory, options));
  }
}

function obey(order: Order): Promise<unknown> {
  if ("heap" in order) return Promise.resolve(process.memoryUsage().heapUsed);
  if ("ended" in order) return mounts[order.ended]!.ended;
  if (order.unmount === "all") return unmountAll(order.options);
  return mounts[order.unmount]!.unmount(order.options);
}

await tell(mountAll);
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => void tell(() => obey(JSON.parse(line) as Order)));
lines.on("close", () => void unmountAll({ force: true }));
