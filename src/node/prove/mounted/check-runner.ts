/**
 * Checks of somebody else's: each state is mounted, a command looks at it and says by its exit
 * status what it thinks of it. Whatever it writes is thrown away.
 *
 * @module
 */
import { ftruncateSync, openSync, closeSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isDaxError } from "../../../lib/errno.ts";
import type { FuseMount } from "../../fuse/mount-server.ts";
import { mountFuse } from "../../fuse/mount.ts";
import type { CheckJob, CheckOutcome, CheckSettings } from "./check-messages.ts";
import { ForeignCommand, endInWords, tailOf } from "./foreign-command.ts";
import { LookedVolume } from "./looked-volume.ts";
import { type MountSpace, plainWordsIn } from "./mount-space.ts";
import { Scratch } from "./scratch.ts";
import { StepRecorder } from "./step-recorder.ts";

/** What shells say of a command that cannot be run, or is not there. */
const CANNOT_RUN = 126;
const NOT_FOUND = 127;
/** How long what a check has started may need to end. */
const GRACE_MS = 1000;
const RETRY_MS = 5;

/** Runs one check after the other. */
export class CheckRunner {
  readonly #settings: CheckSettings;
  readonly #volume: LookedVolume;
  readonly #scratch = new Scratch();
  readonly #output: { readonly path: string; readonly fd: number };
  readonly #space: MountSpace;
  #command: ForeignCommand | undefined;

  constructor(settings: CheckSettings, space: MountSpace) {
    this.#settings = settings;
    this.#space = space;
    this.#volume = new LookedVolume(settings.base);
    this.#output = this.#scratch.file("output");
  }

  /** @throws DaxError for what is wrong with the directory */
  async run(job: CheckJob): Promise<CheckOutcome> {
    let tree;
    try {
      tree = this.#volume.mount(job.patches);
    } catch (error) {
      if (!isDaxError(error)) throw error;
      return { looks: this.#volume.looks(), said: `it cannot be mounted: ${error.message}` };
    }
    const recorder = job.part === "recover" ? new StepRecorder() : undefined;
    const mount = await mountFuse(tree, this.#settings.directory, {
      allowOther: process.geteuid?.() === 0,
      fsname: "daxkit-prove",
      // What nobody asks for would be looked at.
      readAhead: 0,
      // What nobody else sees goes with this process.
      autoUnmount: this.#space === "none",
      through: this.#space === "user" ? "mount" : "auto",
      ...(recorder && { record: recorder.sink }),
    });
    let outcome: CheckOutcome;
    try {
      outcome = await this.#checked(mount, job);
    } finally {
      this.#command?.kill();
      await letGo(mount);
    }
    return recorder === undefined ? outcome : this.#recovered(mount, recorder, outcome);
  }

  /** Ends what runs. */
  close(): void {
    this.#command?.kill();
    this.#scratch[Symbol.dispose]();
  }

  async #checked(mount: FuseMount, { part, acked }: CheckJob): Promise<CheckOutcome> {
    const { commands, patience } = this.#settings;
    const command = this.#start(mount, commands[part], part === "check" ? acked : undefined);
    const end = await command.ended;
    const looks = this.#volume.looks();
    if (end.late) {
      const words = `it did not end within ${patience} s; give --patience if it needs longer`;
      return { looks, broken: words };
    }
    const left = part === "recover" ? await command.rest() : undefined;
    if (left !== undefined) {
      return { looks, broken: `it has ended, and ${left}; wait for them in the command` };
    }
    if (end.status === 0) return { looks };
    const output = tailOf(this.#output.fd);
    if (end.status === CANNOT_RUN || end.status === NOT_FOUND) {
      return { looks, broken: `${endInWords(end)}: it cannot be run: ${output}` };
    }
    return { looks, said: output === "" ? endInWords(end) : output };
  }

  /** What a recovery did counts up to the end of its mount. */
  async #recovered(
    mount: FuseMount,
    recorder: StepRecorder,
    outcome: CheckOutcome,
  ): Promise<CheckOutcome> {
    await mount.ended;
    recorder.finish();
    const looks = this.#volume.looks();
    if (recorder.full) return { looks, broken: "it writes too much to be proved" };
    return { ...outcome, looks, steps: recorder.steps };
  }

  /** A check is told of promises; who recovers knows of none. */
  #start(mount: FuseMount, line: string, acked: readonly string[] | undefined): ForeignCommand {
    const promises = join(this.#scratch.path, "acked");
    writeFileSync(promises, (acked ?? []).map((label) => `${label}\n`).join(""));
    ftruncateSync(this.#output.fd);
    const input = openSync(promises, "r");
    try {
      this.#command = new ForeignCommand(plainWordsIn(this.#space, ["/bin/sh", "-c", line]), {
        environment: {
          DAXKIT_MOUNT: mount.directory,
          ...(acked && {
            DAXKIT_ACKED: String(acked.length),
            DAXKIT_LAST_ACK: acked.at(-1) ?? "",
          }),
        },
        stdio: [input, this.#output.fd, this.#output.fd],
        patience: this.#settings.patience,
      });
      return this.#command;
    } finally {
      closeSync(input);
    }
  }
}

async function letGo(mount: FuseMount): Promise<void> {
  const until = performance.now() + GRACE_MS;
  for (;;) {
    try {
      // One after the other, until it is free.
      // oxlint-disable-next-line no-await-in-loop
      await mount.unmount();
      return;
    } catch (error) {
      if (!isDaxError(error, "EBUSY")) throw error;
      // oxlint-disable-next-line no-await-in-loop
      if (performance.now() > until) return await mount.unmount({ force: true });
      // oxlint-disable-next-line no-await-in-loop
      await delay(RETRY_MS);
    }
  }
}
