/**
 * Reading tar archives as they come in: bytes are pushed, members and their contents come out. It
 * knows no file and no socket, keeps a header at a time, and never more than what one member's
 * extended headers and sparse map take, which are bounded.
 *
 * Layouts: v7, ustar, GNU (long names, binary numbers, sparse files) and pax with the keywords of
 * GNU, star and libarchive. The end is where GNU tar sees it.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import { BLOCK, paddingAfter } from "./tar-format.ts";
import {
  type RawHeader,
  cut,
  decodeHeader,
  isZeroBlock,
  printable,
  tarDamage,
} from "./tar-headers.ts";
import {
  type Extensions,
  type TarMember,
  isKnownType,
  memberHead,
  storedSize,
  unreadableAcls,
} from "./tar-members.ts";
import { MOST_RECORDS, TarRecords } from "./tar-records.ts";
import { LeadingMap, SparseMap, addOldPairs, oldRealSize, recordedMap } from "./tar-sparse.ts";

/** Hears what an archive holds, in its order. */
export interface TarHandler {
  /** A member, before its data. `false`: nobody wants its data. */
  member(member: TarMember): boolean;
  /** Data of the last member, and where in the file they belong; valid until it returns. */
  data(bytes: Uint8Array, offset: number): void;
  /** All data of the last member came; also of members without any. */
  finished(): void;
  /** Something that is odd and does no harm. */
  warning?(text: string): void;
}

/** What was read. */
export interface TarReadSummary {
  readonly members: number;
  /** Bytes of the archive up to its end mark. */
  readonly bytes: number;
}

/** Letters of headers that say something of the next one, and bytes that they may have. */
const EXTENDED: Readonly<Record<string, number>> = {
  x: MOST_RECORDS,
  X: MOST_RECORDS,
  g: MOST_RECORDS,
  L: 2 ** 16,
  K: 2 ** 16,
};
/** Labels, and names as tar wrote them before 1990: nothing that becomes a file. */
const PASSED_OVER: Readonly<Record<string, string>> = {
  V: "a volume's label",
  N: "a list of names in a form of long ago",
  A: "an access control list of Solaris",
};

type Phase = "header" | "extension" | "sparse" | "map" | "content" | "passing" | "ended";

/** A reader of one archive. */
export class TarReader {
  readonly #handler: TarHandler;
  readonly #block = new Uint8Array(BLOCK);
  /** Bytes of `#block` that are there. */
  #filled = 0;
  #phase: Phase = "header";
  /** Byte of the archive that comes next. */
  #position = 0;
  #members = 0;
  #zeros = 0;
  /** Bytes until the next header: of an extension, of contents, of padding. */
  #left = 0;
  #padding = 0;
  #wanted = false;
  #header: RawHeader | undefined;
  #extension = new Uint8Array(0);
  #longName: Uint8Array | undefined;
  #longLink: Uint8Array | undefined;
  /** Whether a header that says something of the next one waits for that. */
  #pending = false;
  #globals = new TarRecords();
  #records = new TarRecords(this.#globals);
  #map: SparseMap | undefined;
  #leading: LeadingMap | undefined;
  #data: TarMember["data"] = [];
  /** The piece that is being read, and how much of it was. */
  #piece = 0;
  #within = 0;

  constructor(handler: TarHandler) {
    this.#handler = handler;
  }

  /** Whether the end mark was seen; nothing behind it is read. */
  get ended(): boolean {
    return this.#phase === "ended";
  }

  /** Bytes that come next and that nobody wants: {@link skip} may stand for them. */
  get skippable(): number {
    const passing = this.#phase === "passing" || (this.#phase === "content" && !this.#wanted);
    return passing ? this.#left : 0;
  }

  /** Stands for so many of the {@link skippable} bytes. */
  skip(bytes: number): void {
    const count = Math.min(bytes, this.skippable);
    if (count > 0) this.#pass(count);
  }

  /**
   * Takes the next bytes. After it threw, nothing more may be pushed.
   * @throws EBADMSG for a wrong checksum, EUCLEAN for what cannot be, E2BIG for headers beyond
   *   their bounds, ENOTSUP for parts of an archive of several volumes, and what handlers throw
   */
  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && this.#phase !== "ended";) {
      at += this.#step(bytes.subarray(at));
    }
  }

  /** Nothing more comes. @throws EUCLEAN for an archive that ends in the middle of something */
  finish(): TarReadSummary {
    if (this.#phase !== "ended") this.#endOfInput();
    return { members: this.#members, bytes: this.#position };
  }

  #endOfInput(): void {
    if (this.#phase !== "header" || this.#filled > 0 || this.#pending) {
      const { name } = this.#header ?? {};
      const whose = name === undefined ? "" : `, near the member "${printable(name)}"`;
      throw tarDamage(
        this.#position + this.#filled,
        `the archive ends too early${whose}; it was cut`,
      );
    }
    if (this.#position === 0) this.#handler.warning?.("the archive is empty: it has no bytes");
    else if (this.#zeros === 0) {
      this.#handler.warning?.("the archive ends without an end mark; it may have been cut");
    }
  }

  /** Takes some of the bytes, and says how many. */
  #step(bytes: Uint8Array): number {
    switch (this.#phase) {
      case "content":
        return this.#content(bytes);
      case "passing":
        return this.#pass(Math.min(bytes.length, this.#left));
      case "extension":
        return this.#collect(bytes);
      default:
        return this.#gather(bytes);
    }
  }

  /** Puts a block together. */
  #gather(bytes: Uint8Array): number {
    if (this.#filled === 0 && bytes.length >= BLOCK) {
      this.#whole(bytes.subarray(0, BLOCK));
      return BLOCK;
    }
    const count = Math.min(BLOCK - this.#filled, bytes.length);
    this.#block.set(bytes.subarray(0, count), this.#filled);
    this.#filled += count;
    if (this.#filled === BLOCK) {
      this.#filled = 0;
      this.#whole(this.#block);
    }
    return count;
  }

  #whole(block: Uint8Array): void {
    const at = this.#position;
    this.#position += BLOCK;
    if (this.#phase === "sparse") this.#sparseBlock(block, at);
    else if (this.#phase === "map") this.#mapBlock(block);
    else if (isZeroBlock(block)) this.#zeroBlock();
    else if (this.#zeros > 0) {
      this.#handler.warning?.(`a lone zero block before byte ${at}: what follows is not read`);
      this.#phase = "ended";
    } else this.#startHeader(decodeHeader(block, at), block);
  }

  #zeroBlock(): void {
    if (++this.#zeros === 2) this.#phase = "ended";
  }

  #startHeader(header: RawHeader, block: Uint8Array): void {
    const { type, at, size } = header;
    this.#header = header;
    const most = Object.hasOwn(EXTENDED, type) ? EXTENDED[type] : undefined;
    if (most !== undefined) {
      if (size > most) throw tooLarge(header, most);
      this.#extension = new Uint8Array(size);
      this.#enter("extension", size);
      if (size === 0) this.#endExtension();
    } else if (type === "M") {
      const detail = `at byte ${at}: a file goes on from another volume; join the volumes first`;
      throw new DaxError("ENOTSUP", { syscall: "tar", detail });
    } else if (Object.hasOwn(PASSED_OVER, type)) {
      if (type !== "V") this.#handler.warning?.(`${PASSED_OVER[type]} is passed over`);
      this.#enter("passing", size + paddingAfter(size));
      this.#padding = 0;
      if (this.#left === 0) this.#phase = "header";
    } else if (type === "S") this.#startOldSparse(header, block);
    else this.#startMember(header);
  }

  #enter(phase: Phase, length: number): void {
    this.#phase = phase;
    this.#left = length;
    this.#padding = paddingAfter(length);
  }

  #collect(bytes: Uint8Array): number {
    const count = Math.min(bytes.length, this.#left);
    this.#extension.set(bytes.subarray(0, count), this.#extension.length - this.#left);
    this.#left -= count;
    this.#position += count;
    if (this.#left === 0) this.#endExtension();
    return count;
  }

  #endExtension(): void {
    const { type, at } = this.#header as RawHeader;
    const bytes = this.#extension;
    this.#extension = new Uint8Array(0);
    if (type !== "g") this.#pending = true;
    if (type === "L") this.#longName = cut(bytes);
    else if (type === "K") this.#longLink = cut(bytes);
    else if (type === "g") this.#globals.add(bytes, at);
    else this.#records.add(bytes, at);
    this.#endData();
  }

  /** Padding comes next, or a header. */
  #endData(): void {
    this.#left = this.#padding;
    this.#padding = 0;
    this.#phase = this.#left > 0 ? "passing" : "header";
  }

  get #extensions(): Extensions {
    const [longName, longLink] = [this.#longName, this.#longLink];
    return { longName, longLink, records: this.#records };
  }

  #startOldSparse(header: RawHeader, block: Uint8Array): void {
    this.#map = new SparseMap(oldRealSize(block, header.at), header.at);
    if (addOldPairs(this.#map, block, header.at, true)) this.#phase = "sparse";
    else this.#startMember(header);
  }

  #sparseBlock(block: Uint8Array, at: number): void {
    if (addOldPairs(this.#map as SparseMap, block, at, false)) return;
    this.#startMember(this.#header as RawHeader);
  }

  #startMember(header: RawHeader): void {
    const records = this.#records;
    const stored = storedSize(header, this.#extensions);
    if (header.type === "S" || header.type === "0") {
      const major = records.text("GNU.sparse.major");
      if (header.type === "0" && major !== undefined && major !== "0") {
        this.#startLeading(header, major);
        return;
      }
      this.#map ??= recordedMap(records);
    }
    this.#tell(header, stored);
  }

  #startLeading(header: RawHeader, major: string): void {
    const version = `${major}.${this.#records.text("GNU.sparse.minor") ?? "0"}`;
    if (version !== "1.0") {
      const detail = `at byte ${header.at}: sparse files of version ${version.slice(0, 20)}`;
      throw new DaxError("ENOTSUP", { syscall: "tar", detail });
    }
    const size = this.#records.size("GNU.sparse.realsize");
    if (size === undefined) throw tarDamage(header.at, "a sparse file has no GNU.sparse.realsize");
    this.#leading = new LeadingMap(size, header.at);
    this.#phase = "map";
  }

  #mapBlock(block: Uint8Array): void {
    const header = this.#header as RawHeader;
    const leading = this.#leading as LeadingMap;
    const stored = storedSize(header, this.#extensions);
    this.#map = leading.take(block);
    if (leading.bytes > stored + paddingAfter(stored)) {
      throw tarDamage(header.at, "the map of a sparse file is longer than the member");
    }
    if (this.#map !== undefined) this.#tell(header, Math.max(0, stored - leading.bytes));
  }

  /** The member is known: its data come next. */
  #tell(header: RawHeader, stored: number): void {
    const head = memberHead(header, this.#extensions);
    const { kind } = head;
    this.#warnOf(header, head.name);
    const map = kind === "file" ? this.#map : undefined;
    const plain = stored === 0 || kind !== "file" ? [] : [{ start: 0, length: stored }];
    const data = map?.checked(stored) ?? plain;
    const size = kind === "file" ? (map?.size ?? stored) : 0;
    const dataAt = this.#position;
    if (!Number.isSafeInteger(dataAt + stored)) {
      throw tarDamage(header.at, `a member has ${stored} bytes, and ends behind byte 2^53`);
    }
    this.#forgetExtensions();
    this.#members++;
    this.#wanted = this.#handler.member({ ...head, size, data, dataAt }) && data.length > 0;
    this.#data = data;
    [this.#piece, this.#within] = [0, 0];
    this.#enter("content", stored);
    if (stored === 0) this.#endContent();
  }

  #warnOf({ type }: RawHeader, name: Uint8Array): void {
    if (!isKnownType(type)) {
      const what = `"${printable(name)}" is of unknown type '${printable(bytesOf(type))}'`;
      this.#handler.warning?.(`${what}, and taken as a file`);
    }
    for (const acl of unreadableAcls(this.#records)) {
      const why = "it names users or groups that have no numbers there";
      this.#handler.warning?.(`"${printable(name)}": ${acl} is left out: ${why}`);
    }
  }

  #forgetExtensions(): void {
    this.#pending = false;
    this.#longName = undefined;
    this.#longLink = undefined;
    this.#records = new TarRecords(this.#globals);
    this.#map = undefined;
    this.#leading = undefined;
  }

  #content(bytes: Uint8Array): number {
    const count = Math.min(bytes.length, this.#left);
    if (!this.#wanted) return this.#pass(count);
    for (let at = 0; at < count;) {
      const { start, length } = this.#data[this.#piece] as TarMember["data"][number];
      const part = Math.min(count - at, length - this.#within);
      this.#handler.data(bytes.subarray(at, at + part), start + this.#within);
      this.#within += part;
      at += part;
      if (this.#within < length) continue;
      this.#piece++;
      this.#within = 0;
    }
    return this.#pass(count);
  }

  /** Leaves bytes behind that were used, or that nobody wants. */
  #pass(count: number): number {
    this.#left -= count;
    this.#position += count;
    if (this.#left > 0) return count;
    if (this.#phase === "content") this.#endContent();
    else this.#endData();
    return count;
  }

  #endContent(): void {
    this.#handler.finished();
    this.#data = [];
    this.#endData();
  }
}

function bytesOf(letter: string): Uint8Array {
  return Uint8Array.of(letter.charCodeAt(0));
}

function tooLarge({ at, type, size }: RawHeader, most: number): DaxError {
  const detail = `at byte ${at}: an extended header '${type}' of ${size} bytes; ${most} are taken`;
  return new DaxError("E2BIG", { syscall: "tar", detail });
}
