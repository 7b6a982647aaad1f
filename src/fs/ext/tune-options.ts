/**
 * What of a filesystem can be changed afterwards: the letters of tune2fs(8) as a plain object.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";

/** Names of directory hashes for {@link TuneExtOptions.hashAlgorithm}. */
export type HashName = "legacy" | "half_md4" | "tea";

/** What is changed; what is absent stays. Each has the meaning it has for tune2fs 1.47. */
export interface TuneExtOptions {
  /** `-L`: at most 16 bytes; what is longer is cut. Empty: none. */
  readonly label?: string;
  /** `-U`: a uuid, `clear`, `null`, `random` or `time`. */
  readonly uuid?: string;
  /** `-M`: where it was last mounted, at most 64 bytes; what is longer is cut. */
  readonly lastMounted?: string;
  /** `-c`: mounts between two checks, at most 16000; 0 or -1: however many. */
  readonly maxMounts?: number;
  /** `-C`: mounts since the last check, at most 16000. */
  readonly mounts?: number;
  /** `-i`: seconds between two checks; 0: however many. */
  readonly checkInterval?: number;
  /** `-T`: when it was last checked, in seconds since 1970. */
  readonly lastCheck?: number;
  /** `-e`: what the kernel does on finding damage. */
  readonly errors?: "continue" | "remount-ro" | "panic";
  /** `-m`: share of blocks reserved for root, in percent, 0 to 50. */
  readonly reservedPercent?: number;
  /** `-r`: blocks reserved for root, at most half of all; wins over `reservedPercent`. */
  readonly reservedBlocks?: number;
  /** `-u`: who may fill the reserved blocks; below 65536. */
  readonly reservedUid?: number;
  /** `-g`: whose group may fill them; below 65536. */
  readonly reservedGid?: number;
  /** `-o`: default mount options by name, separated by commas; `^name` takes one away. */
  readonly mountOptions?: string;
  /** `-O`: names of features by commas; `^name` takes one away. Obeyed before `uuid`. */
  readonly features?: string;
  /** `-E stride=`: blocks. */
  readonly stride?: number;
  /** `-E stripe_width=`: blocks. */
  readonly stripeWidth?: number;
  /** `-E hash_alg=`: the hash of directories to come. */
  readonly hashAlgorithm?: HashName;
  /** `-E mmp_update_interval=`: seconds, at most 300; 0: the usual 5. */
  readonly mmpUpdateInterval?: number;
  /** `-E mount_opts=`: default mount options as text, below 64 bytes. */
  readonly mountOptionText?: string;
  /** `-E test_fs`, `-E ^test_fs`: flagged as made for testing code. */
  readonly testFs?: boolean;
  /** `-E force_fsck`: e2fsck looks closer next time. */
  readonly forceCheck?: boolean;
  /** `-E clear_mmp`: takes the claim of a machine that is gone away. Only with `force`. */
  readonly clearMultiMount?: boolean;
  /** `-f`: go on where a question would be asked. */
  readonly force?: boolean;
}

/** An option that cannot be obeyed; nothing was written. */
export function refuse(detail: string): never {
  throw new DaxError("EINVAL", { syscall: "tune", detail });
}

/** Something that is not done here, with what to do instead; nothing was written. */
export function refuseFeature(detail: string): never {
  throw new DaxError("ENOTSUP", { syscall: "tune", detail });
}

/** An unsigned number within a limit. */
export function within(value: number, most: number, what: string): number {
  if (Number.isSafeInteger(value) && value >= 0 && value <= most) return value;
  return refuse(`${what} is ${value}; it takes a whole number from 0 to ${most}`);
}
