/**
 * Archives in cpio's newc format, which a kernel unpacks into its first root filesystem. Several
 * may follow each other; a later member replaces an earlier one.
 */

/** One file; folders are members of mode `0o40755` without data. */
export interface CpioMember {
  readonly path: string;
  readonly mode: number;
  readonly data: Uint8Array;
}

function padded(parts: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat(parts);
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}

function member({ path, mode, data }: CpioMember, ino: number): Buffer {
  const name = Buffer.from(`${path}\0`);
  const fields = [ino, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
  const header = fields.map((field) => field.toString(16).padStart(8, "0")).join("");
  return Buffer.concat([padded([Buffer.from(`070701${header}`), name]), padded([data])]);
}

/** The whole archive, with its trailer. */
export function cpio(members: readonly CpioMember[]): Buffer {
  const trailer = { path: "TRAILER!!!", mode: 0, data: new Uint8Array() };
  return Buffer.concat([...members, trailer].map((each, index) => member(each, index + 1)));
}
