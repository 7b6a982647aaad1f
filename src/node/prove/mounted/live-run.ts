/**
 * A command at work on a mounted volume, for real, with all that its kernel asked written down.
 *
 * Promises stand where they were made: before each request is answered, what the command has
 * written until then is read. So what it wrote before a call stands before that call, and what it
 * wrote after a call has returned behind it. Between two calls that nothing puts in order, those of
 * several processes or threads, the order is the one in which they were seen.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { isDaxError } from "../../../lib/errno.ts";
import type { FileTree } from "../../../vfs/file-tree.ts";
import type { FuseMount } from "../../fuse/mount-server.ts";
import { processNumbers, programOf, usesDirectory } from "../../processes.ts";
import { mountFuse } from "../../fuse/mount.ts";
import { WorkloadFault } from "../recording.ts";
import { AckSource } from "./ack-source.ts";
import { ForeignCommand, endInWords, tailOf } from "./foreign-command.ts";
import type { RecordedStep } from "./recorded-run.ts";
import { Scratch } from "./scratch.ts";
import { MOST_BYTES, StepRecorder } from "./step-recorder.ts";

/** What is run. */
export interface LiveCommand {
  readonly phase: "setup" | "workload";
  readonly words: readonly string[];
  readonly directory: string;
  /** Seconds. */
  readonly patience: number;
  /** A file that the command adds promises to; one of ours unless given. */
  readonly ackFile?: string | undefined;
  /** What a promise on standard output begins with. */
  readonly ackPrefix?: string | undefined;
  /** Hears of promises as they are made. */
  readonly onAck?: (label: string) => void;
  readonly signal?: AbortSignal | undefined;
  /** It meets a fault, and may end with an error. */
  readonly mayFail?: boolean | undefined;
}

/** How long the kernel may need to let go of a mount that nobody uses. */
const GRACE_MS = 2000;
const RETRY_MS = 20;

/**
 * Runs a command on a tree.
 * @throws WorkloadFault; DaxError for what is wrong with the directory
 */
export async function runLive(tree: FileTree, what: LiveCommand): Promise<RecordedStep[]> {
  using scratch = new Scratch();
  const [output, errors] = [scratch.file("output"), scratch.file("errors")];
  const acks = what.ackFile === undefined ? scratch.file("acks") : scratch.given(what.ackFile);
  const recorder = new StepRecorder(new AckSource(output.fd, acks.fd, what.ackPrefix), what.onAck);
  const mount = await mountFuse(tree, what.directory, {
    allowOther: process.geteuid?.() === 0,
    fsname: "daxkit-prove",
    record: recorder.sink,
  });
  const command = new ForeignCommand(what.words, {
    environment: { DAXKIT_MOUNT: mount.directory, DAXKIT_ACK_FILE: acks.path },
    stdio: ["inherit", output.fd, errors.fd],
    patience: what.patience,
  });
  const stop = (): void => command.kill();
  recorder.onFull = stop;
  what.signal?.addEventListener("abort", stop);
  const fault = (how: string): WorkloadFault => {
    const words = recorder.noRoom ? `${how}; the volume was full: --size makes it larger` : how;
    const said = [tailOf(output.fd), tailOf(errors.fd)].filter((text) => text !== "").join("\n");
    return new WorkloadFault(what.phase, said === "" ? words : `${words}, having said:\n${said}`);
  };
  try {
    let gone = false;
    void mount.ended.finally(() => (gone = true)).catch(() => {});
    const end = await command.ended;
    what.signal?.throwIfAborted();
    if (recorder.full) throw fault(`it wrote more than ${MOST_BYTES} bytes, too much to be proved`);
    if (end.late) {
      const words = `it did not end within ${what.patience} s; give --patience if it needs longer`;
      throw fault(words);
    }
    if (end.status !== 0 && what.mayFail !== true) throw fault(endInWords(end));
    if (gone) throw fault("the mount was taken away while it ran");
    const left = await command.rest();
    if (left !== undefined) throw fault(`it has ended, and ${left}; wait for them in the command`);
    await letGo(mount, fault);
    await mount.ended;
    recorder.finish();
    return recorder.steps;
  } finally {
    what.signal?.removeEventListener("abort", stop);
    command.kill();
    await mount.unmount({ force: true });
  }
}

/** Unmounts, as soon as the kernel has heard of the command's end. */
async function letGo(mount: FuseMount, fault: (words: string) => WorkloadFault): Promise<void> {
  const until = performance.now() + GRACE_MS;
  for (;;) {
    try {
      // One after the other, until it is free.
      // oxlint-disable-next-line no-await-in-loop
      await mount.unmount();
      return;
    } catch (error) {
      if (!isDaxError(error, "EBUSY")) throw error;
      if (performance.now() > until) {
        const who = usersOf(mount.directory);
        const words = who.length === 0 ? "somebody uses" : `${who.join(", ")} use`;
        throw fault(`it has ended, and ${words} the mount still; wait for them in the command`);
      }
      // oxlint-disable-next-line no-await-in-loop
      await delay(RETRY_MS);
    }
  }
}

/** Processes that use a directory. Asks nothing of the mount. */
function usersOf(directory: string): string[] {
  return processNumbers()
    .filter((pid) => usesDirectory(pid, directory))
    .map((pid) => `${programOf(pid)} (${pid})`);
}
