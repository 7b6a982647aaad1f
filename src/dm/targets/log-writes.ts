/**
 * log-writes: passes requests on, and writes on another device what was written, in the order in
 * which it became durable. The kernel's format, so that every replay tool reads it.
 *
 * A write is held until a flush that began after it has come back: then it is in the log, with the
 * flush behind it. A FUA write is logged at once, and so overtakes others. Writes through dax are
 * logged, too, when their lines are written back; a fence is their flush. The kernel's target logs
 * none of those.
 *
 * @module
 */
import { type BlockDevice, SECTOR_SIZE } from "../../block/block-device.ts";
import { LogWriter } from "../../block/write-log-writer.ts";
import { LogWriteEntry } from "../../format/log-writes.ts";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { sizeof } from "../../lib/struct.ts";
import type { Leg } from "../leg.ts";
import type { DaxAnswer, LegRange, MessageAnswer, Target, TargetType } from "../target.ts";
import { linearRoute } from "./linear-route.ts";
import { LoggedRoute } from "./logged-route.ts";

/** Bytes of writes that wait for a flush; more are logged without one, as if the disk had. */
const MOST_HELD = 64 << 20;

/** A write or a discard that no flush covers yet. */
interface Held {
  readonly sector: number;
  readonly sectors: number;
  /** Undefined: discarded. */
  readonly data: Uint8Array | undefined;
}

class LogWritesTarget implements Target {
  readonly uses: readonly LegRange[];
  readonly #leg: Leg;
  readonly #logLeg: Leg;
  readonly #name: string;
  #log: LogWriter | undefined;
  #held: Held[] = [];
  #heldBytes = 0;
  #disabled = false;

  constructor(leg: Leg, log: Leg, sectors: number, name: string) {
    this.uses = [
      { leg, start: 0, sectors },
      { leg: log, start: 0, sectors: log.device.sectors },
    ];
    this.#leg = leg;
    this.#logLeg = log;
    this.#name = name;
  }

  /**
   * The log begins when the table is used for the first time, and the one before it has ended its
   * own. Without it requests go on, and the status tells.
   */
  resume(): void {
    if (this.#log !== undefined || this.#disabled) return;
    const { logicalBlockSize: sectorSize } = this.#leg.device.limits;
    try {
      this.#log = new LogWriter(sinkOf(this.#logLeg.device), { sectorSize });
    } catch (error) {
      if (!isDaxError(error)) throw error;
      this.#disabled = true;
    }
  }

  read(sector: number, target: Uint8Array): void {
    this.#leg.device.read(sector, target);
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    this.#leg.device.write(sector, source, flags);
    if (flags?.fua === true) this.#append((log) => log.write(sector * SECTOR_SIZE, source, flags));
    else this.#hold(sector, source.length / SECTOR_SIZE, source.slice());
  }

  writeZeroes(sector: number, sectors: number): void {
    this.#leg.device.writeZeroes(sector, sectors);
    this.#hold(sector, sectors, new Uint8Array(sectors * SECTOR_SIZE));
  }

  /** Logged even where the device below knows no discard. */
  discard(sector: number, sectors: number): void {
    try {
      this.#leg.device.discard(sector, sectors);
    } catch (error) {
      if (!isDaxError(error, "ENOTSUP", "EOPNOTSUPP")) throw error;
    }
    this.#hold(sector, sectors, undefined);
  }

  flush(): void {
    this.#leg.device.flush();
    this.#release();
  }

  dax(): DaxAnswer {
    const answer = linearRoute(this.uses[0] as LegRange);
    if ("reason" in answer) return answer;
    const capture = (at: number, length: number): void => this.#capture(at, length);
    return { route: new LoggedRoute(answer.route, capture, () => this.#release()) };
  }

  table(): string {
    return `${this.#leg.text} ${this.#logLeg.text}`;
  }

  /** Entries, and the sector in front of the next one. */
  status(): string {
    const { entries, size, sectorSize } = this.#log ?? { entries: 0, size: 512, sectorSize: 512 };
    const text = `${entries} ${size / sectorSize - 1}`;
    return this.#disabled ? `${text} logging_disabled` : text;
  }

  message(words: readonly string[]): MessageAnswer {
    const [verb = "", text = ""] = words;
    if (words.length !== 2) {
      const rule = "Invalid log-writes message arguments, expect 2 arguments";
      this.#refuse(`${rule}, got ${words.length}`);
    }
    if (verb.toLowerCase() !== "mark") {
      this.#refuse(`Unrecognised log writes target message received: ${verb}`);
    }
    const room = (this.#log?.sectorSize ?? SECTOR_SIZE) - sizeof(LogWriteEntry) - 2;
    this.#append((log) => log.mark(text.slice(0, room)));
    return undefined;
  }

  /** What no flush covered is written down all the same, and then the log ends. */
  destroy(): void {
    if (this.#log === undefined || this.#disabled) return;
    this.#writeHeld();
    this.#append((log) => log.finish());
  }

  #hold(sector: number, sectors: number, data: Uint8Array | undefined): void {
    if (this.#disabled || sectors === 0) return;
    this.#held.push({ sector, sectors, data });
    this.#heldBytes += data?.length ?? 0;
    if (this.#heldBytes > MOST_HELD) this.#writeHeld();
  }

  /** What was written back of lines is what their sectors hold now. */
  #capture(at: number, length: number): void {
    const size = this.#log?.sectorSize ?? SECTOR_SIZE;
    const from = Math.floor(at / size) * size;
    const data = new Uint8Array(Math.ceil((at + length) / size) * size - from);
    this.#leg.device.readBytes(from, data);
    this.#hold(from / SECTOR_SIZE, data.length / SECTOR_SIZE, data);
  }

  /** Everything held is durable. */
  #release(): void {
    // A log that stands still is written to after the thaw, in the same order.
    if (this.#logLeg.device.freezing?.frozen === true) return;
    this.#writeHeld();
    this.#append((log) => log.flush());
  }

  #writeHeld(): void {
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    for (const { sector, sectors, data } of held) {
      const start = sector * SECTOR_SIZE;
      this.#append((log) => {
        if (data === undefined) log.discard(start, sectors * SECTOR_SIZE);
        else log.write(start, data);
      });
    }
  }

  /** A log without room, or on a device that fails, ends; requests go on. */
  #append(append: (log: LogWriter) => void): void {
    if (this.#disabled || this.#log === undefined) return;
    try {
      append(this.#log);
    } catch (error) {
      if (!isDaxError(error)) throw error;
      this.#disabled = true;
      this.#held = [];
    }
  }

  #refuse(detail: string): never {
    const told = `device-mapper: log-writes: ${detail}`;
    throw new DaxError("EINVAL", { syscall: "message", path: this.#name, detail: told });
  }
}

function sinkOf(device: BlockDevice): { write(offset: number, bytes: Uint8Array): void } {
  return {
    write(offset, bytes) {
      if (offset + bytes.length > device.sectors * SECTOR_SIZE) {
        throw new DaxError("ENOSPC", {
          path: device.name,
          detail: "Ran out of space on the logdev",
        });
      }
      device.write(offset / SECTOR_SIZE, bytes);
    },
  };
}

/** `log-writes DEVICE LOG_DEVICE` */
export const logWrites: TargetType = {
  name: "log-writes",
  version: [1, 1, 0],
  make(words, context) {
    if (words.length < 2) {
      context.refuse("EINVAL", "Invalid argument count", `DEVICE LOG; here are ${words.length}`);
    }
    const leg = context.open(words[0], "Device lookup failed");
    const log = context.open(words[1], "Log device lookup failed");
    if (log === leg)
      context.refuse("EINVAL", "Log device lookup failed", "it is the device itself");
    return new LogWritesTarget(leg, log, context.length, context.name);
  },
};
