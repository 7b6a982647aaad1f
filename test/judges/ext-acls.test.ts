/**
 * Access control lists: what Linux makes of them on a loop mount, and what we make of them.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { followMode, inheritAcl, setAcl } from "../../src/fs/ext/acl-writer.ts";
import { DirectoryWriter, initDirectory } from "../../src/fs/ext/directory-writer.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import type { InodeRecord } from "../../src/fs/ext/inode-record.ts";
import { newRecord, setLinks, setMode, storeRecord } from "../../src/fs/ext/inode-writer.ts";
import { readXattrs, xattrValue } from "../../src/fs/ext/xattr.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import { encodeUtf8 } from "../../src/lib/utf8.ts";
import { S_IFDIR, S_IFMT } from "../../src/vfs/modes.ts";
import { complaints, type Writing, writeTo } from "../support/ext-writing.ts";
import { madeImage } from "../support/made-images.ts";
import { places, scratch } from "../support/scratch.ts";
import { writeSparse } from "../support/sparse-file.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const tools = programs(["mke2fs", "e2fsck", "python3"], "apt-get install e2fsprogs python3");
const judge = tools.missing ? tools : loopMounts();

/** One case: lists for a directory, and what is made in it. */
interface Case {
  readonly given: string;
  readonly fileMode: number;
  readonly directoryMode: number;
  readonly umask: number;
  readonly chmod: number;
}

/** Does with the kernel what `ours` does; prints modes and lists, or the errno of setxattr. */
const SCRIPT = `
import json, os, sys
def acl(path, kind):
    try: return os.getxattr(path, 'system.posix_acl_' + kind).hex()
    except OSError as e: return ''
def show(path):
    return [os.stat(path).st_mode, acl(path, 'access'), acl(path, 'default')]
out = []
for i, case in enumerate(json.load(sys.stdin)):
    top = sys.argv[1] + '/d%d' % i
    os.umask(0); os.mkdir(top, 0o755)
    said = []
    for kind in ('access', 'default'):
        try:
            os.setxattr(top, 'system.posix_acl_' + kind, bytes.fromhex(case['given']))
            said.append(0)
        except OSError as e: said.append(e.errno)
    os.umask(case['umask'])
    os.close(os.open(top + '/file', os.O_CREAT | os.O_WRONLY, case['fileMode']))
    os.mkdir(top + '/directory', case['directoryMode'])
    said += [show(top), show(top + '/file'), show(top + '/directory')]
    os.chmod(top, case['chmod'])
    said.append(show(top))
    out.append(said)
print(json.dumps(out))
`;

const TAGS = [1, 2, 2, 4, 8, 0x10, 0x20];

/** A list that is right more often than not. */
function anyList(dice: Prng): string {
  const bytes: number[] = [2, 0, 0, 0];
  const named = dice.below(2) === 0;
  for (const tag of TAGS) {
    const wanted = [1, 4, 0x20].includes(tag) || (named && (tag === 0x10 || dice.below(2) === 0));
    if (wanted === (dice.below(40) === 0)) continue;
    const id = [2, 8].includes(tag) ? [dice.below(256), dice.below(8), 0, 0] : [255, 255, 255, 255];
    bytes.push(tag, 0, dice.below(60) === 0 ? 9 : dice.below(8), 0, ...id);
  }
  if (dice.below(30) === 0) bytes.pop();
  return Buffer.from(bytes).toString("hex");
}

function anyCase(dice: Prng): Case {
  const mode = (): number => dice.below(0o1000);
  const [fileMode, directoryMode, umask, chmod] = [mode(), mode(), mode(), mode()];
  return { given: anyList(dice), fileMode, directoryMode, umask, chmod };
}

const ERRNO: Readonly<Record<string, number>> = { EINVAL: 22, ENOTSUP: 95 };

class Ours {
  readonly #writing: Writing;
  readonly #root: InodeRecord;

  constructor(writing: Writing) {
    this.#writing = writing;
    this.#root = writing.volume.record(2);
  }

  run({ given, fileMode, directoryMode, umask, chmod }: Case, number: number): unknown[] {
    const { editor, operate } = this.#writing;
    const top = this.#make(this.#root, `d${number}`, S_IFDIR | 0o755, 0);
    const said: unknown[] = (["access", "default"] as const).map((kind) => {
      try {
        operate((handle) => setAcl(editor, handle, top, kind, Buffer.from(given, "hex")));
        return 0;
      } catch (error) {
        if (!isDaxError(error)) throw error;
        return ERRNO[error.code];
      }
    });
    const file = this.#make(top, "file", 0o100000 | fileMode, umask);
    const directory = this.#make(top, "directory", S_IFDIR | directoryMode, umask);
    said.push(this.#show(top), this.#show(file), this.#show(directory));
    operate((handle) => {
      setMode(top, (top.mode & S_IFMT) | chmod);
      followMode(editor, handle, top);
      storeRecord(editor.volume, handle, top);
    });
    return [...said, this.#show(top)];
  }

  #make(parent: InodeRecord, name: string, mode: number, umask: number): InodeRecord {
    const { editor, operate, volume } = this.#writing;
    const directory = (mode & S_IFMT) === S_IFDIR;
    return operate((handle) => {
      const ino = editor.inodes.allocate(handle, { parent: parent.ino, directory });
      const start = { uid: 0, gid: 0, links: directory ? 2 : 1, flags: 0, generation: ino };
      const record = newRecord(volume, ino, { ...start, mode, time: editor.now() });
      inheritAcl(editor, handle, parent, record, umask);
      if (directory) initDirectory(editor, handle, record, parent.ino);
      const writer = new DirectoryWriter(editor, parent, new FileMap(volume, parent));
      writer.addEntry(handle, encodeUtf8(name), { ino, type: directory ? 2 : 1 });
      if (directory) setLinks(parent, parent.links + 1);
      storeRecord(volume, handle, parent);
      return record;
    });
  }

  #show({ ino }: InodeRecord): unknown[] {
    const { volume } = this.#writing;
    const record = volume.record(ino);
    const xattrs = readXattrs(volume, record);
    const list = (kind: string): string => {
      const entry = xattrs.get(`system.posix_acl_${kind}`);
      const value = entry === undefined ? undefined : xattrValue(volume, record, entry);
      return Buffer.from(value ?? []).toString("hex");
    };
    return [record.mode, list("access"), list("default")];
  }
}

describe(`Linux${judge.hint}`, () => {
  test.skipIf(judge.missing).each(["-t ext4 -b 1024", "-t ext2 -b 4096 -I 128"])(
    "%s: lists set, inherited and changed by chmod",
    { timeout: 60_000 },
    (options) => {
      const dice = new Prng(5);
      const cases = Array.from({ length: 150 }, () => anyCase(dice));
      const image = madeImage(options, 32, "-N", "1024");
      const path = scratch(places["tmpfs"] ?? places["disk"], "acl.img");
      const folder = `${path}.mount`;
      mkdirSync(folder);
      writeSparse(path, image);
      const input = JSON.stringify(cases);
      const theirs = withLoopMount(path, folder, "acl", (mounted) =>
        execFileSync("python3", ["-c", SCRIPT, mounted], { input, encoding: "utf8" }),
      );
      const writing = writeTo(image);
      const ours = new Ours(writing);
      expect(cases.map((one, i) => ours.run(one, i))).toEqual(JSON.parse(theirs));
      writing.close();
      expect(e2fsckSays(image)).toEqual([]);
      expect(complaints(image)).toEqual([]);
      expect(e2fsckSays(new Uint8Array(readFileSync(path)))).toEqual([]);
    },
  );
});
