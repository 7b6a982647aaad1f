/** Tar archives put together block by block, also such as no tool would write. */
import { TarReader } from "../../src/vfs/tar-reader.ts";
import type { TarMember } from "../../src/vfs/tar-members.ts";

/** Fields of a header; texts are bytes as letters. */
export interface Fields {
  readonly name?: string;
  readonly type?: string;
  readonly link?: string;
  /** As they stand in the header: octal digits, or raw bytes. */
  readonly mode?: string;
  readonly uid?: string;
  readonly gid?: string;
  readonly size?: string | number;
  readonly mtime?: string;
  readonly magic?: "ustar\u000000" | "ustar  \u0000" | "";
  readonly major?: string;
  readonly minor?: string;
  readonly prefix?: string;
  /** Whatever else, by its byte. */
  readonly at?: Readonly<Record<number, string>>;
  readonly sum?: string;
}

const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");

/** One block with its checksum. */
export function header(fields: Fields = {}): Buffer {
  const block = Buffer.alloc(512);
  const { size = 0, magic = "ustar\u000000" } = fields;
  const put = (at: number, text: string): void => void latin1(text).copy(block, at);
  put(0, fields.name ?? "f");
  put(100, fields.mode ?? "0000644");
  put(108, fields.uid ?? "0000000");
  put(116, fields.gid ?? "0000000");
  put(124, typeof size === "string" ? size : size.toString(8).padStart(11, "0"));
  put(136, fields.mtime ?? "00000000000");
  put(156, fields.type ?? "0");
  put(157, fields.link ?? "");
  put(257, magic);
  put(329, fields.major ?? "");
  put(337, fields.minor ?? "");
  put(345, fields.prefix ?? "");
  for (const [at, text] of Object.entries(fields.at ?? {})) put(Number(at), text);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(148, fields.sum ?? `${sum.toString(8).padStart(6, "0")}\u0000 `);
  return block;
}

/** Bytes in whole blocks. */
export function padded(text: string | Uint8Array): Buffer {
  const bytes = typeof text === "string" ? latin1(text) : Buffer.from(text);
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

/** A file with its contents. */
export function file(name: string, content: string | Uint8Array = "", fields: Fields = {}): Buffer {
  return Buffer.concat([header({ name, size: content.length, ...fields }), padded(content)]);
}

/** An extended header of these records, `x` or `g`. */
export function pax(
  records: Readonly<Record<string, string>> | readonly (readonly [string, string])[],
  type = "x",
): Buffer {
  const pairs = Array.isArray(records) ? records : Object.entries(records);
  const text = pairs.map(([key, value]) => record(key as string, value as string)).join("");
  return Buffer.concat([header({ name: "pax", type, size: text.length }), padded(text)]);
}

function record(key: string, value: string): string {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  if (String(length).length !== String(rest).length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

/** GNU's header of a long name (`L`) or link (`K`). */
export function long(type: "L" | "K", name: string): Buffer {
  const magic = "ustar  \u0000";
  const head = header({ name: "././@LongLink", type, size: name.length + 1, magic });
  return Buffer.concat([head, padded(`${name}\u0000`)]);
}

/** Members with the end mark behind them. */
export function archive(...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

/** What a reader made of an archive. */
export interface Read {
  readonly members: readonly TarMember[];
  /** Contents by the members' order, holes as zeros. */
  readonly contents: readonly Buffer[];
  readonly warnings: readonly string[];
  /** Bytes up to the end mark. */
  readonly bytes: number;
}

/** Reads an archive in pieces of `piece` bytes. @throws DaxError */
export function readArchive(bytes: Uint8Array, piece = bytes.length || 1): Read {
  const members: TarMember[] = [];
  const contents: Buffer[] = [];
  const warnings: string[] = [];
  const reader = new TarReader({
    member(member) {
      members.push(member);
      contents.push(Buffer.alloc(Math.min(member.size, 2 ** 20)));
      return true;
    },
    data: (data, offset) => void Buffer.from(data).copy(contents.at(-1) as Buffer, offset),
    finished: () => {},
    warning: (text) => warnings.push(text),
  });
  for (let at = 0; at < bytes.length; at += piece) reader.push(bytes.subarray(at, at + piece));
  return { members, contents, warnings, bytes: reader.finish().bytes };
}
