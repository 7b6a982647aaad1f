/**
 * Which paths lie on the volume, and the working directory, which may lie there too.
 *
 * @module
 */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** Descriptors from here on are of volumes; see the facade's own. */
const FIRST_DESCRIPTOR = 2 ** 20;

/** A directory on which a volume is mounted, for this process alone. */
export class MountedPaths {
  readonly mount: string;
  readonly #realCwd: () => string;
  #inside: string | undefined;

  /** `mount` is an absolute path. */
  constructor(mount: string, realCwd: () => string = () => process.cwd()) {
    this.mount = mount;
    this.#realCwd = realCwd;
  }

  /** The working directory, wherever it is. */
  readonly cwd = (): string => this.#inside ?? this.#realCwd();

  /** Whether the working directory lies on the volume. */
  get isInside(): boolean {
    return this.#inside !== undefined;
  }

  /** The working directory is this one of the volume, or, without one, the machine's own. */
  enter(directory?: string): void {
    this.#inside = directory;
  }

  /** Whether an absolute path lies on the volume. */
  holds(path: string): boolean {
    return path === this.mount || path.startsWith(`${this.mount}/`);
  }

  /** Whether a descriptor is one of the volume's. */
  hasDescriptor(value: unknown): boolean {
    return typeof value === "number" && value >= FIRST_DESCRIPTOR;
  }

  /** A path of a program as an absolute one; undefined for what is no path. */
  absolute(value: unknown): string | undefined {
    const text = textOf(value);
    return text === undefined ? undefined : resolve(this.cwd(), text);
  }

  /** Whether a path of a program lies on the volume. */
  has(value: unknown): boolean {
    const path = this.absolute(value);
    return path !== undefined && this.holds(path);
  }
}

/** The path in what programs give for one. */
function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString();
  }
  if (!(value instanceof URL) || value.protocol !== "file:") return undefined;
  try {
    return fileURLToPath(value);
  } catch {
    return undefined;
  }
}
