/**
 * A machine as people write it, in a machine file or an options object.
 *
 * @module
 */
import type { SegmentType } from "../drivers/dcssblk.ts";
import type { Caching, PersistenceDomain } from "../media/media.ts";
import type { PlatformProfile } from "../platform/e820.ts";
import type { PageMapPlace } from "../platform/pfn-layout.ts";
import type { NamespaceMode } from "../platform/regions.ts";
import type { DaxMode } from "./describe-special.ts";

/** Bytes: a number, or text such as `64M`, `4G`, `0x1000`. */
export type SizeInput = number | string;

/** A physical address: as a size, or a `bigint`. */
export type AddressInput = number | string | bigint;

/** One item, or a list of them. */
export type OneOrMore<T> = T | readonly T[];

/** What stands behind a range of persistent memory; nothing said: memory of this process. */
export interface BackingInput {
  /** A file, made with the range's size where it is missing. */
  readonly file?: string;
  readonly readOnly?: boolean;
  /** Memory on which every store is recorded, for the crash model. */
  readonly modelled?: boolean;
  /** Memory below 4 GiB that counts what is written to it: `MachineDevice.wear`. */
  readonly wear?: boolean;
  /** What survives power loss: `adr` (what was flushed), `eadr` (everything), `volatile`. */
  readonly domain?: PersistenceDomain;
  /** How it is mapped: write-back unless given; for memory, not for files. */
  readonly caching?: Caching;
  /** Or one slice after the other; the last may leave out its length. */
  readonly domains?: OneOrMore<{
    readonly domain?: PersistenceDomain;
    readonly caching?: Caching;
    readonly length?: SizeInput;
  }>;
  /** Bad blocks, in bytes from the start of the range. */
  readonly poison?: OneOrMore<{ readonly start?: SizeInput; readonly length: SizeInput }>;
}

/** A memory module; it needs a size, a file, or both. */
export interface PmemInput extends BackingInput {
  readonly size?: SizeInput;
  /** Physical address; behind everything else unless given. */
  readonly start?: AddressInput;
  /** Whether firmware reports it by the NFIT (unless given) or as type 12 of its memory map. */
  readonly as?: "nfit" | "e820";
  /** `fsdax` has page structures and wants 2 MiB alignment, `raw` has none. */
  readonly mode?: NamespaceMode;
  /**
   * Where page descriptors lie: `none` (unless given), `mem`, or `dev` in front of the data, as
   * `ndctl create-namespace --map` has it.
   */
  readonly map?: PageMapPlace;
}

/** A kernel option with what stands behind the one range that it marks. */
export interface MarkedRangeInput extends BackingInput {
  /** `64M!4G` */
  readonly range: string;
}

/** A device of device-mapper. */
export interface MappedInput {
  /** It becomes `mapper/NAME`. */
  readonly name: string;
  /** As dmsetup takes it: lines of `START LENGTH TARGET ARGUMENTS`, as a text or as a list. */
  readonly table: OneOrMore<string>;
  readonly uuid?: string;
  readonly readOnly?: boolean;
  /** `never`: no dax, whatever the devices below have. */
  readonly dax?: "auto" | "never";
}

/** A device of a dax region; a size is needed unless it is the last, which takes what is left. */
export interface DevDaxInput {
  readonly size?: SizeInput;
  /** What a fault maps at once: 4K, 2M (unless given) or 1G. */
  readonly align?: SizeInput;
  /** `devdax` (unless given) is mapped, `fsdev` carries a filesystem, `system-ram` is memory. */
  readonly mode?: DaxMode;
}

/** Memory set aside for device-dax; it needs a size, a file, or both. */
export interface DaxRegionInput extends BackingInput {
  readonly size?: SizeInput;
  /** Physical address; behind everything else unless given. */
  readonly start?: AddressInput;
  /** The node it is near to: 0 unless given; -1 is none, and so no system RAM. */
  readonly targetNode?: number;
  /** One over all of it unless given. */
  readonly devices?: OneOrMore<DevDaxInput>;
}

/** A disk of shared or exclusive segments; one that is read-only makes the disk so. */
export interface DcssblkInput {
  readonly segments: OneOrMore<{
    /** `SW` unless given. */
    readonly type?: SegmentType;
    readonly size: SizeInput;
    readonly start?: AddressInput;
  }>;
}

/** A disk or partition that is served as a network block device. */
export interface ExportInput {
  /** `pmem0`, `pmem0p1`, `ram0`, `mapper/NAME` */
  readonly device: string;
  /** What clients ask for; the device's name unless given. */
  readonly name?: string;
  readonly description?: string;
  readonly readOnly?: boolean;
}

/** Where exports are served: at a unix socket, a TCP port, or both. */
export interface NbdInput {
  /** Path of a unix socket; made beside the machine file unless it is absolute. */
  readonly socket?: string;
  /** 0 takes a free port. */
  readonly port?: number;
  /** Of TCP; loopback unless given, and others only with TLS or `insecure`. */
  readonly address?: string;
  readonly insecure?: boolean;
  /** `on` lets clients choose; unless given, `on` with certificates or keys, else `off`. */
  readonly tls?: "off" | "on" | "require";
  /** A folder with server-cert.pem, server-key.pem, and ca-cert.pem. */
  readonly tlsCertificates?: string;
  /** A file of pre-shared keys, lines of `NAME:HEX`. */
  readonly tlsPsk?: string;
  readonly tlsVerifyPeer?: boolean;
}

/** A machine. All keys may be left out. */
export interface MachineInput {
  readonly name?: string;
  readonly profile?: PlatformProfile;
  readonly seed?: number;
  /** Ordinary memory, 4G unless given; it is mapped, not allocated. */
  readonly ram?: SizeInput;
  /** The firmware's memory map, instead of one made for `ram`. */
  readonly e820?: OneOrMore<{
    readonly start: AddressInput;
    readonly length: SizeInput;
    /** A number, or a word such as `usable`, `reserved`, `persistent-legacy`. */
    readonly type: number | string;
  }>;
  readonly mem?: SizeInput;
  /** Kernel options: the text after `memmap=`. */
  readonly memmap?: OneOrMore<string | MarkedRangeInput>;
  readonly pmem?: OneOrMore<PmemInput>;
  /**
   * ACPI's table of persistent memory: a file such as `/sys/firmware/acpi/tables/NFIT`, or its
   * bytes. Its ranges are regions; a module of `pmem` that starts where one does stands behind it.
   */
  readonly nfit?: string | Uint8Array;
  /** RAM disks. */
  readonly brd?: OneOrMore<SizeInput | { readonly count?: number; readonly size: SizeInput }>;
  /** Devices of device-mapper, made in this order when the others are attached. */
  readonly dm?: OneOrMore<MappedInput>;
  /** Memory for device-dax. */
  readonly dax?: OneOrMore<DaxRegionInput>;
  /** Banks of an Axon: disks of volatile memory at an address. */
  readonly axonram?: OneOrMore<
    SizeInput | { readonly size: SizeInput; readonly start?: AddressInput }
  >;
  /** Disks of memory segments. */
  readonly dcssblk?: OneOrMore<DcssblkInput>;
  /** Whether type 12 makes devices; true unless given. */
  readonly legacyPmem?: boolean;
  /** Whether disks may be mapped without a filesystem; true unless given. */
  readonly rawMappings?: boolean;
  /** Whether device-dax may serve filesystems; true unless given. */
  readonly fsdev?: boolean;
  /** Whether type 6 counts as type 12; false unless given. */
  readonly treat6AsPram?: boolean;
  /** Whether devices attach at boot, or when `probe` is called. */
  readonly probe?: "boot" | "late";
  /** Devices that are served to others, by name or with more said; they need `nbd`. */
  readonly exports?: OneOrMore<string | ExportInput>;
  /** Where they are served. */
  readonly nbd?: NbdInput;
}
