/**
 * What a mapped device is made of, and how it is suspended.
 *
 * @module
 */
import type { DeviceNumber } from "../block/device-numbers.ts";
import type { LoadContext } from "./table-loader.ts";

/** What a mapped device is made of; {@link DeviceMapper} makes them. */
export interface MappedOptions {
  readonly name: string;
  readonly uuid: string;
  readonly number: DeviceNumber;
  /** Never offers dax, whatever its legs do. */
  readonly dax: "auto" | "never";
  /** A user has closed the device. */
  readonly closed: () => void;
  readonly context: Omit<
    LoadContext,
    "owner" | "number" | "readOnly" | "event" | "failed" | "user"
  >;
}

/** How a device is suspended. */
export interface SuspendOptions {
  /** Targets need not wait for requests that are under way. */
  readonly noflush?: boolean;
  /** A mounted filesystem is not frozen. */
  readonly nolockfs?: boolean;
}
