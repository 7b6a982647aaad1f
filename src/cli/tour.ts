/**
 * How the tour reads on a terminal.
 *
 * @module
 */
import { report } from "../crash/prove.ts";
import { formatSize } from "../lib/size.ts";
import type { MachineDevice } from "../machine/machine.ts";
import type { Output } from "./output.ts";
import { reportFor } from "./proofs.ts";
import type { Terminal } from "./terminal.ts";
import type { BootStep, ImageStep, ProofStep, StoreStep } from "./tour-steps.ts";

const INDENT = "   ";
const SURVIVES = {
  adr: "what was flushed and fenced is left",
  eadr: "every store is left (battery)",
  volatile: "nothing is left",
} as const;

/** Prints the steps of the tour, one after the other. */
export class TourGuide {
  readonly #out: Output;
  readonly #terminal: Terminal;

  constructor(out: Output, terminal: Terminal) {
    this.#out = out;
    this.#terminal = terminal;
  }

  /** The memory map, and the devices with what a power cut leaves of each. */
  boot({ file, milliseconds, iomem, devices }: BootStep): void {
    this.#heading(`1. A machine boots: ${file}, ${ms(milliseconds)}`);
    for (const line of iomem.trimEnd().split("\n")) this.#line(line);
    this.#out.line();
    for (const device of devices) this.#line(deviceText(device));
  }

  stores(steps: readonly StoreStep[]): void {
    this.#heading("2. The same bytes are stored on each device, flushed and fenced");
    for (const { device, bytes, flushedLines, fences } of steps) {
      const fence = fences === 1 ? "1 fence" : `${fences} fences`;
      this.#line(
        `${device.padEnd(6)} ${bytes} bytes stored: ${flushedLines} cache lines flushed, ${fence}`,
      );
    }
  }

  image(step: ImageStep): void {
    const { image, device, files, bytes, view } = step;
    this.#heading(`3. An ext4 image that mke2fs made is read through DAX: ${image}`);
    this.#line(`mounted /dev/${device} in ${ms(step.mountMilliseconds)}`);
    this.#line(
      `read ${files} files, ${bytes} bytes, in ${ms(step.readMilliseconds)} with their sha256; ` +
        `sums that differ from the manifest: ${step.wrongSums}`,
    );
    this.#line(
      `copied once, from media to reader: ${step.copiedOut} bytes (the other ` +
        `${bytes - step.copiedOut} are holes); translations: ${step.translations}; ` +
        `flushes: ${step.flushes}`,
    );
    this.#line(
      `${view.path} as a view of the media: ${view.bytes} bytes, ${view.copiedOut} copied; ` +
        `it begins "${view.begins}"`,
    );
  }

  proofs(): void {
    this.#heading("4. Three programs lose their power, in every state that is possible");
  }

  proof({ file, milliseconds, verdict }: ProofStep): void {
    const command = `daxkit prove ${file}`;
    this.#out.line();
    this.#line(`${this.#terminal.style("faint", `$ ${command}`)}  (${ms(milliseconds)})`);
    const { width, ...how } = reportFor(this.#terminal, command);
    const narrower = width === undefined ? how : { ...how, width: width - INDENT.length };
    for (const line of report(verdict, narrower)) this.#line(line);
    this.#out.flush();
  }

  #heading(text: string): void {
    this.#out.line();
    this.#out.line(this.#terminal.style("heading", text));
    this.#out.line();
  }

  #line(text: string): void {
    this.#out.line(text === "" ? "" : `${INDENT}${text}`);
  }
}

function ms(milliseconds: number): string {
  return `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
}

function deviceText({ name, size, domains, writeCache }: MachineDevice): string {
  const left = [...new Set(domains.map(({ domain }) => SURVIVES[domain]))].join("; ");
  const cache = `write cache ${writeCache ? "on" : "off"}`;
  const bytes = formatSize(size).padStart(7);
  return `${name.padEnd(6)} ${bytes}  ${cache.padEnd(15)}  power cut: ${left}`;
}
