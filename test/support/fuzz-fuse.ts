/**
 * Mutated conversations of a kernel with a session: requests of every kind, most of them well
 * formed, then damaged in bits, fields and lengths. Answers have to be whole, errors are typed, the
 * end leaves nothing behind, and a volume that was sound stays so.
 */
import { FuseInHeader, FuseOutHeader } from "../../src/format/fuse.ts";
import { FuseOpcode as Op } from "../../src/format/fuse-flags.ts";
import { FuseSession } from "../../src/fuse/session.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { DaxError, Errno, type ErrnoCode, assert } from "../../src/lib/errno.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { makeVolume } from "../../src/node/make-volume.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { u32, wordRequest } from "./fuse-client.ts";
import { type Ask, ask } from "./fuse-requests.ts";
import type { CaseNotes, FuzzSubject, FuzzTarget } from "./fuzz.ts";
import { DamagedImage } from "./fuzz-ext.ts";
import { TINY_IMAGES, tinyImage } from "./tiny-images.ts";
import { ToyDisk } from "./toy-disk.ts";

/** Frames in one conversation. */
export const FRAMES_A_CASE = 200;
const NAMES = ["a", "b", "c", "d", "dir", "lost+found", "ü", "x".repeat(255)];
const ODD_NAMES = ["", ".", "..", "a/b", "y".repeat(256), "z".repeat(1100), "\udcff\udc80"];
const XATTRS = ["user.a", "user.b", "trusted.c", "security.d", "system.posix_acl_access", "x"];
const ODD = [0, 1, 2, 511, 4095, 4096, 2 ** 31, 2 ** 32 - 1, 2 ** 40, 2 ** 44, 2 ** 53 - 1];
const HUGE = [2 ** 53, 2 ** 62, 2 ** 63 - 2 ** 11, 2 ** 63, 2 ** 64 - 2 ** 11];
const IOCTLS = [0x80086601, 0x40086602, 0x801c581f, 0x401c5820, 0x80087601, 0x5401];
/** The largest opcode that there is, and some. */
const OPCODES = 60;
/** Bytes of answers that have one size. */
const SIZES: ReadonlyMap<number, number> = new Map<number, number>([
  [Op.LOOKUP, 128],
  [Op.MKNOD, 128],
  [Op.MKDIR, 128],
  [Op.SYMLINK, 128],
  [Op.LINK, 128],
  [Op.CREATE, 144],
  [Op.TMPFILE, 144],
  [Op.GETATTR, 104],
  [Op.SETATTR, 104],
  [Op.STATX, 288],
  [Op.STATFS, 80],
  [Op.OPEN, 16],
  [Op.WRITE, 8],
  [Op.LSEEK, 8],
  [Op.COPY_FILE_RANGE, 8],
  [Op.COPY_FILE_RANGE_64, 8],
  [Op.INIT, 64],
]);
const SILENT: ReadonlySet<number> = new Set([
  Op.FORGET,
  Op.BATCH_FORGET,
  Op.INTERRUPT,
  Op.NOTIFY_REPLY,
]);
const TELLS: ReadonlySet<number> = new Set([
  Op.LOOKUP,
  Op.MKNOD,
  Op.MKDIR,
  Op.SYMLINK,
  Op.LINK,
  Op.CREATE,
  Op.TMPFILE,
]);

function nameOf(prng: Prng): string {
  return prng.pick(prng.below(15) === 0 ? ODD_NAMES : NAMES);
}

function place(prng: Prng): number {
  const kind = prng.below(10);
  if (kind === 0) return prng.pick(HUGE);
  return kind < 4 ? prng.pick(ODD) : prng.below(60_000);
}

function someBytes(prng: Prng): Uint8Array {
  return new Uint8Array(prng.pick([0, 1, 100, 3000, 4096])).fill(prng.below(256));
}

type Maker = (prng: Prng, node: () => number) => Ask;

const MAKERS: readonly Maker[] = [
  (prng) => ask.lookup(nameOf(prng)),
  (prng) => ask.lookup(nameOf(prng)),
  (prng) => ask.forget(prng.below(3)),
  (prng, node) =>
    ask.batchForget([
      [node(), prng.below(3)],
      [node(), 1],
    ]),
  () => ask.getattr(),
  (prng) =>
    ask.setattr({
      valid: prng.below(2) === 0 ? prng.below(0x1000) : 2 ** prng.below(12),
      size: place(prng),
      atime: place(prng),
      mtime: place(prng),
      nsec: prng.below(1.1e9),
      mode: prng.below(0o20000),
      uid: prng.below(3),
      gid: prng.below(3),
    }),
  () => ask.statx(),
  () => ask.readlink(),
  (prng) => ask.symlink(nameOf(prng), prng.pick(["a", "dir/b", "t".repeat(100), "u".repeat(5000)])),
  (prng) =>
    ask.mknod(nameOf(prng), prng.below(16) * 0o10000 + prng.below(0o10000), prng.u32(), 0o22),
  (prng) => ask.mkdir(nameOf(prng), prng.below(0o10000), 0o22),
  (prng) => ask.mkdir(nameOf(prng), 0o755),
  (prng) => ask.unlink(nameOf(prng)),
  (prng) => ask.rmdir(nameOf(prng)),
  (prng, node) => ask.rename(node(), nameOf(prng), nameOf(prng)),
  (prng, node) => ask.rename2(node(), nameOf(prng), nameOf(prng), prng.below(5)),
  (prng, node) => ask.link(node(), nameOf(prng)),
  (prng) => ask.open(prng.pick([0, 1, 2, 0o1002, 0o2001]), prng.below(2)),
  (prng) => ask.create(nameOf(prng), 0o100000 | prng.below(0o10000), prng.pick([2, 0o302, 0o1001])),
  (prng) => ask.create(nameOf(prng)),
  () => ask.tmpfile(),
  (prng, node) => ask.read(node(), place(prng), prng.pick([1, 4096, 40_000, 2 ** 20, 2 ** 32 - 1])),
  (prng, node) => ask.write(node(), place(prng), someBytes(prng), prng.below(8), prng.u32()),
  (prng, node) => ask.write(node(), prng.below(90_000), someBytes(prng)),
  () => ask.statfs(),
  (_, node) => ask.release(node()),
  (_, node) => ask.flush(node()),
  (prng) => ask.fsync(prng.below(2) === 0),
  (prng) => ask.fsyncdir(prng.below(2) === 0),
  () => ask.syncfs(),
  (prng) => ask.setxattr(prng.pick(XATTRS), someBytes(prng), prng.below(4), prng.below(2)),
  (prng) => ask.getxattr(prng.pick(XATTRS), prng.pick([0, 10, 65_536, 2 ** 32 - 1])),
  (prng) => ask.listxattr(prng.pick([0, 10, 65_536])),
  (prng) => ask.removexattr(prng.pick(XATTRS)),
  () => ask.opendir(),
  () => ask.releasedir(),
  (prng) => ask.readdir(place(prng), prng.pick([0, 100, 4096, 2 ** 32 - 1])),
  (prng) => ask.readdirplus(prng.below(2) === 0 ? 0 : place(prng), prng.pick([0, 500, 4096])),
  (prng) =>
    ask.ioctl(prng.pick(IOCTLS), someBytes(prng).subarray(0, prng.below(64)), prng.below(64)),
  (prng) =>
    ask.fallocate(prng.pick([0, 1, 3, 8, 16, 17, 32, prng.below(256)]), place(prng), place(prng)),
  (prng) => ask.lseek(place(prng), prng.below(6)),
  (prng, node) =>
    ask.copyFileRange(place(prng), node(), place(prng), place(prng), prng.below(2) === 0),
  () => ask.interrupt(),
  (prng) => ask.access(prng.below(8)),
  (prng) => ({ opcode: prng.below(OPCODES), parts: [someBytes(prng)] }),
];

const CODES: ReadonlyMap<number, ErrnoCode> = new Map(
  Object.entries(Errno).map(([code, [number]]) => [number, code as ErrnoCode]),
);

/** Options of sessions, in turn. */
const SHOWN = [
  { maxWrite: 4096 },
  { maxWrite: 65_536, timeout: 0 },
  { maxWrite: 2 ** 20 },
  { maxWrite: 8192, noOpen: true },
  { maxWrite: 8192, writebackCache: true, umask: 0o022, uid: 1, gid: 2 },
] as const;

/** A kernel that has lost its mind. */
class Madman {
  readonly #session: FuseSession;
  readonly #prng: Prng;
  readonly #view: DataView;
  readonly #before: Uint8Array;
  #unique = 1;
  /** Nodes that were told of. */
  readonly nodes = [1];

  constructor(session: FuseSession, prng: Prng) {
    this.#session = session;
    this.#prng = prng;
    const { request } = session;
    this.#view = new DataView(request.buffer);
    this.#before = new Uint8Array(request.length);
  }

  greet(): void {
    const parts = [u32(7), u32(this.#prng.pick([31, 38, 45])), u32(0), u32(0x7fff_ffff)];
    const more = [u32(0xffff_ffff), new Uint8Array(44)];
    this.#send({ opcode: Op.INIT, parts: [...parts, ...more] }, 0);
    this.#answer(FuseInHeader.len.get(this.#view, 0));
  }

  /**
   * One request, more or less; its answer is looked over. `tell` hears what was damaged.
   * @throws what was answered, where that was an error
   */
  say(tell: (story: string) => void): void {
    const prng = this.#prng;
    const node = (): number => prng.pick(this.nodes);
    const maker = prng.pick(MAKERS);
    this.#send(maker(prng, node), node());
    let length = FuseInHeader.len.get(this.#view, 0);
    let story = "";
    for (let left = prng.pick([0, 0, 1, 1, 2]); left > 0; left--) {
      const [damaged, how] = this.#damage(length);
      length = damaged;
      story += ` ${how}`;
    }
    this.#before.set(this.#session.request.subarray(0, length));
    const opcode = FuseInHeader.opcode.get(this.#view, 0);
    tell(`${opcode}:${story}`);
    this.#answer(length);
  }

  #send({ opcode, parts }: Ask, nodeid: number): void {
    const head = { opcode, nodeid, unique: this.#unique++, uid: this.#prng.below(2), gid: 0 };
    wordRequest(this.#session.request, head, fitting(parts, this.#session.request.length));
  }

  /** How long the frame is then, and what was done. */
  #damage(length: number): [number, string] {
    const prng = this.#prng;
    const { request } = this.#session;
    const at = 4 + prng.below(Math.max(1, Math.min(length, 130) - 4));
    switch (prng.below(9)) {
      case 0:
        request[at] = (request[at] as number) ^ (1 << prng.below(8));
        return [length, `bit of ${at}`];
      case 1:
        request[at] = prng.pick([0, 1, 0x7f, 0x80, 0xff, prng.below(256)]);
        return [length, `byte ${at}`];
      case 2: {
        const to = Math.min(at - (at % 8), request.length - 8);
        const value = prng.pick([...ODD, ...HUGE]);
        this.#view.setBigUint64(to, BigInt(value), true);
        return [length, `u64 ${to} := ${value}`];
      }
      case 3: {
        const cut = prng.below(length + 1);
        if (prng.below(4) > 0) this.#view.setUint32(0, cut, true);
        return [cut, `cut to ${cut}`];
      }
      case 4: {
        const from = prng.below(length + 1);
        request.set(this.#before.subarray(from, length), from);
        return [length, `the last one from ${from}`];
      }
      case 5:
        this.#view.setUint32(4, prng.below(OPCODES), true);
        return [length, "opcode"];
      case 6:
        this.#view.setUint32(16, prng.below(200), true);
        return [length, "node"];
      case 7: {
        const more = Math.min(request.length, length + prng.below(300));
        request.fill(prng.below(256), length, more);
        this.#view.setUint32(0, more, true);
        return [more, `grown to ${more}`];
      }
      default:
        this.#view.setUint32(0, prng.pick([0, 39, length + 1, 2 ** 32 - 1]), true);
        return [length, "length lied about"];
    }
  }

  #answer(length: number): void {
    const session = this.#session;
    const view = this.#view;
    const opcode = length >= 8 ? FuseInHeader.opcode.get(view, 0) : 0;
    const unique = length >= 12 ? FuseInHeader.uniqueLo.get(view, 0) : 0;
    session.answer(length);
    const { bytes: said, length: head, pieces, pieceCount } = session.reply;
    if (SILENT.has(opcode)) {
      assert(head === 0 && pieceCount === 0, `opcode ${opcode} was answered`);
      return;
    }
    const out = new DataView(said.buffer, said.byteOffset);
    let whole = head;
    for (let i = 0; i < pieceCount; i++) whole += pieces[i]?.length ?? Number.NaN;
    assert(head >= 16 && head <= said.length, `a head of ${head} bytes`);
    assert(FuseOutHeader.len.get(out, 0) === whole, `${whole} bytes, and it says others`);
    assert(FuseOutHeader.uniqueLo.get(out, 0) === unique, "an answer to another request");
    const error = out.getInt32(4, true);
    assert(error <= 0 && error > -512, `errno ${error}`);
    if (error === 0) return this.#look(opcode, whole - 16, out);
    assert(whole === 16, "an error says nothing more");
    const code = CODES.get(-error);
    assert(code !== undefined, () => `errno ${-error} has no name`);
    throw new DaxError(code);
  }

  #look(opcode: number, size: number, out: DataView): void {
    const wanted = SIZES.get(opcode) ?? size;
    assert(size === wanted, `opcode ${opcode} was answered with ${size} bytes`);
    if (opcode === Op.READ) {
      const asked = this.#view.getUint32(56, true);
      assert(size <= asked, `${size} bytes were read of ${asked}`);
    }
    if (!TELLS.has(opcode)) return;
    const node = out.getUint32(16, true);
    if (node !== 0) this.nodes.push(node);
  }
}

/** Parts as far as they fit. */
function fitting(parts: Ask["parts"], room: number): Ask["parts"] {
  let left = room - 100;
  return parts.filter((part) => {
    if (part instanceof Uint8Array) left -= part.length;
    return left > 0;
  });
}

/** Those that are clean, and have nothing to recover. */
const SOUND = ["ext2", "extents", "inline", "groups", "metabg", "bigalloc"] as const;

function madeImage(type: "ext4", features = ""): Uint8Array {
  const bytes = new Uint8Array(2 ** 22);
  makeVolume(RamMedia.over(bytes), { type, features, environment: seededEnvironment(3) });
  return bytes;
}

class FuseSubject implements FuzzSubject {
  // One has quota, and is not mounted for writing.
  readonly #images = TINY_IMAGES.filter((one) => one !== "dax").map(
    (one) => new DamagedImage(`ext-tiny/${one}`),
  );
  readonly #sound: readonly (readonly [name: string, bytes: Uint8Array])[] = [
    ...SOUND.map((one) => [one, tinyImage(one)] as const),
    ["with a journal", madeImage("ext4")],
    ["with more in inodes", madeImage("ext4", "inline_data")],
  ];

  run(prng: Prng, notes: CaseNotes): string {
    if (prng.below(4) > 0) {
      const [name, bytes] = prng.pick(this.#sound);
      notes.say(name);
      return this.#converse(bytes, true, prng, notes);
    }
    const image = prng.pick(this.#images);
    notes.say(`${image.name}, damaged`);
    try {
      image.damage(prng, notes);
      return this.#converse(image.editor.bytes, false, prng, notes);
    } finally {
      image.editor.restore();
    }
  }

  audit(): void {
    for (const image of this.#images) image.editor.audit();
  }

  #converse(image: Uint8Array, sound: boolean, prng: Prng, notes: CaseNotes): string {
    const disk = new ToyDisk({
      pages: Math.ceil(image.length / 4096),
      dax: prng.below(2) === 0,
    });
    disk.bytes.set(image);
    const environment = seededEnvironment(prng.below(1000));
    const tree = new FileTree(ext.mount(disk.disk, { write: true }, environment));
    const session = new FuseSession(tree, prng.pick(SHOWN));
    let told = 0;
    session.onNotice = (frame) => {
      told++;
      assert(new DataView(frame.buffer).getUint32(0, true) === frame.length, "a whole notice");
    };
    const madman = new Madman(session, prng);
    madman.greet();
    for (let n = 0; n < FRAMES_A_CASE; n++) {
      notes.attempt(() => madman.say((story) => notes.say(story)));
      if (prng.below(10) === 0) notes.attempt(() => meddle(tree, prng));
    }
    notes.attempt(() => session.end());
    assert(tree.root.mount.users === 0, "nothing keeps the volume busy");
    notes.attempt(() => tree.close());
    if (sound) this.#judge(disk);
    return `${sound ? "sound" : "damaged"}, ${told > 0 ? "told" : "untold"}`;
  }

  #judge({ disk }: ToyDisk): void {
    const [first] = ext.check(disk, seededEnvironment(1));
    assert(first === undefined, () => `the check says ${JSON.stringify(first)}`);
  }
}

/** Somebody else uses the volume. */
function meddle(tree: FileTree, prng: Prng): void {
  const path = `/${prng.pick(NAMES)}`;
  switch (prng.below(5)) {
    case 0:
      tree.unlink(path);
      return;
    case 1:
      tree.mkdir(path);
      return;
    case 2:
      tree.rename(path, `/${prng.pick(NAMES)}/${prng.pick(NAMES)}`);
      return;
    case 3:
      tree.chmod(path, 0o777);
      return;
    default: {
      const file = tree.open(path, { access: "readwrite", create: true });
      try {
        file.write(someBytes(prng));
      } finally {
        file.close();
      }
    }
  }
}

/** Conversations over FUSE. */
export const fuseTarget: FuzzTarget = {
  name: "fuse",
  weight: 4,
  reaches: ["sound, told", "damaged, told", "EPROTO"],
  open: () => new FuseSubject(),
};
