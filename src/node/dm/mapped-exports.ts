/**
 * Mapped devices as exports: whatever devices there are at the moment, each by its name. A client
 * has the device open for as long as it is connected.
 *
 * @module
 */
import type { DeviceMapper } from "../../dm/device-mapper.ts";
import type { MappedDevice } from "../../dm/mapped-device.ts";
import { BlockStore } from "../../nbd/block-store.ts";
import type { ExportDirectory, ExportGate, NbdExport } from "../../nbd/export.ts";

/** See the module. */
export class MappedExports implements ExportDirectory {
  readonly #mapper: DeviceMapper;
  readonly #closed: () => void;
  #over = false;

  /** `closed` is called when a client has gone. */
  constructor(mapper: DeviceMapper, closed: () => void) {
    this.#mapper = mapper;
    this.#closed = closed;
  }

  /** Nothing is found any more; what is listed is what a server flushes when it closes. */
  end(): void {
    this.#over = true;
  }

  list(): readonly NbdExport[] {
    return this.#devices().map((device) => this.#exportOf(device));
  }

  /** Without a name it is the first one. */
  find(name: string): NbdExport | undefined {
    if (this.#over) return undefined;
    const devices = this.#devices();
    const found = name === "" ? devices[0] : devices.find((device) => device.name === name);
    return found === undefined ? undefined : this.#exportOf(found);
  }

  /** One without a table has no size; in the end one that is suspended cannot be flushed. */
  #devices(): MappedDevice[] {
    return this.#mapper.devices.filter(
      ({ sectors, suspended }) => sectors > 0 && !(this.#over && suspended),
    );
  }

  #exportOf(device: MappedDevice): NbdExport {
    const kinds = device.active?.placed.map(({ type }) => type.name) ?? [];
    const closes: (() => void)[] = [];
    return {
      name: device.name,
      description: `mapped device: ${[...new Set(kinds)].join(", ")}`,
      store: new BlockStore(device),
      onAttach: () => void closes.push(device.open("an NBD client")),
      onDetach: () => {
        closes.pop()?.();
        this.#closed();
      },
      gate: new ResumeGate(device),
    };
  }
}

/** Requests to a suspended device wait until it is resumed. */
export class ResumeGate implements ExportGate {
  readonly device: MappedDevice;

  constructor(device: MappedDevice) {
    this.device = device;
  }

  get open(): boolean {
    return !this.device.suspended;
  }

  onOpen(call: () => void): void {
    const end = this.device.watch(() => {
      if (!this.open) return;
      end();
      // Whoever resumes it goes first.
      setImmediate(call);
    });
  }
}
