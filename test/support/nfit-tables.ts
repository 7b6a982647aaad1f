/** Tables of persistent memory. */
import type { Nfit, NfitMapping, NfitRange } from "../../src/platform/nfit.ts";

const MIB = 2n ** 20n;

const mapping = (more: Partial<NfitMapping> & { readonly range: number }): NfitMapping => ({
  handle: more.range,
  physicalId: more.range,
  controlRegion: 1,
  length: 32n * MIB,
  ways: 1,
  armed: true,
  ...more,
});

const range = (index: number, kind: NfitRange["kind"], start: bigint): NfitRange => ({
  index,
  kind,
  start: start * MIB,
  length: 32n * MIB,
});

/**
 * From 512 MiB: volatile, persistent, a window of control registers, a disk of the firmware's, one
 * that is not armed, one without a module. (Linux 6.1 takes no table in which a module serves a
 * volatile range.)
 */
export const NFIT_OF_ALL_KINDS: Nfit = {
  ranges: [
    range(1, "volatile", 512n),
    range(2, "persistent", 544n),
    range(3, "control region", 576n),
    range(4, "persistent disk", 608n),
    range(5, "persistent", 640n),
    range(6, "persistent", 672n),
  ],
  mappings: [mapping({ range: 2 }), mapping({ range: 5, handle: 3, armed: false })],
  controls: [{ index: 1, vendor: 0x8086, device: 1, serial: 0x12345678, code: 0x301 }],
  domain: "eadr",
};

/** A run of bytecode with its length in front, which counts itself: two bytes. */
const packed = (...parts: readonly number[]): number[] => {
  const length = parts.length + 2;
  return [0x40 | (length & 15), length >> 4, ...parts];
};
const letters = (text: string): number[] =>
  Array.from(text, (letter) => letter.codePointAt(0) ?? 0);
const named = (name: string, ...value: readonly number[]): number[] => [
  0x08,
  ...letters(name),
  ...value,
];
const device = (name: string, ...inside: readonly number[]): number[] => [
  0x5b,
  0x82,
  ...packed(...letters(name), ...inside),
];

/** A table of definitions with the device that Linux's driver binds to, and modules 1 to 3. */
export function modulesSsdt(): Uint8Array {
  const modules = [1, 2, 3].flatMap((handle) =>
    device(`NV0${handle}`, ...named("_ADR", 0x0a, handle)),
  );
  const root = device("NVDR", ...named("_HID", 0x0d, ...letters("ACPI0012"), 0), ...modules);
  const code = [0x10, ...packed(0x5c, ...letters("_SB_"), ...root)];
  const bytes = new Uint8Array(36 + code.length);
  bytes.set(letters("SSDT"));
  new DataView(bytes.buffer).setUint32(4, bytes.length, true);
  bytes[8] = 2;
  bytes.set(letters("DAXKITMODULES"), 10);
  bytes.set(letters("DAXK"), 28);
  bytes.set(code, 36);
  bytes[9] = (256 - (bytes.reduce((sum, byte) => sum + byte, 0) & 0xff)) & 0xff;
  return bytes;
}

/** What QEMU 7.2 tells of one module of 64 MiB at 4 GiB. */
export const QEMU_NFIT: Uint8Array = Uint8Array.from(
  Buffer.from(
    [
      "4e464954e0000000011c424f4348532042585043202020200100000042585043010000000000000000003800",
      "02000300000000000000000079d3f066f3b47440ac430d3318b78cdb00000000010000000000000400000000",
      "0880000000000000010030000100000000000000020003000000000400000000000000000000000000000000",
      "0000000000000100000000000400500003008680010001000000000000000000000000005634120001030000",
      "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
      "00000000",
    ].join(""),
    "hex",
  ),
);
