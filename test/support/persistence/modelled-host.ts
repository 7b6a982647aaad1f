/**
 * What the system promises of files: bytes that one of its calls made durable, and nothing else.
 * Files are real ones; the calls are made, and noted. The kernel may have written more, which a
 * program cannot count on.
 */
import fs from "node:fs";
import { createRequire, syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { libc, viewOf } from "../../../src/node/libc.unsafe.ts";
import { fileCalls } from "../../../src/node/nbd/file-calls.unsafe.ts";

/** A foreign function, and what koffi has to make them. */
type Foreign = (...values: readonly unknown[]) => unknown;
type Calls = Record<string, Foreign>;
interface Koffi {
  proto: (result: string, parameters: readonly string[]) => object;
  decode: (address: bigint, type: object) => Foreign;
  load: (library: string | null) => { readonly func: (name: string) => Foreign };
}

const ONES = new Uint8Array(128 * 1024).fill(0xff);
const PAGE_SIZE = 4096;

/** A file that is watched. */
interface Watched {
  readonly path: string;
  readonly inode: number;
  durable: Buffer;
  /** Pages that were written by calls and not synced: their blocks may be nowhere yet. */
  readonly byCall: Set<number>;
}

interface Mapped {
  readonly address: number;
  readonly length: number;
  readonly file: Watched;
  readonly offset: number;
}

interface Span {
  readonly address: number;
  readonly length: number;
}

/** The host of the story that runs. */
let host: ModelledHost | undefined;

/** A machine whose files are watched while a story runs. */
export class ModelledHost {
  /** The folder of the story. */
  readonly folder = fs.mkdtempSync(join(tmpdir(), "daxkit-story-"));
  /** The CPU runs nothing of what is emitted: it is read, and believed. */
  onPaper = false;
  /** Told whenever something has become durable. */
  onDurable: () => void = () => {};
  objection: string | undefined;
  readonly #files: Watched[] = [];
  readonly #mapped: Mapped[] = [];
  /** Flushed, and no drain yet. */
  #lines: Span[] = [];

  /** A file, of ones unless given, which is durable as it is. */
  file(bytes: Uint8Array = ONES, name = "f"): string {
    const path = join(this.folder, name);
    fs.writeFileSync(path, bytes);
    const inode = fs.statSync(path).ino;
    this.#files.push({ path, inode, durable: Buffer.from(bytes), byCall: new Set() });
    return path;
  }

  /** What a power cut leaves of a file. */
  durable(path: string): Buffer {
    return (this.#files.find((one) => one.path === path) as Watched).durable;
  }

  /** These bytes of a file are durable. */
  promise(path: string, at: number, bytes: Uint8Array): void {
    if (
      this.durable(path)
        .subarray(at, at + bytes.length)
        .equals(bytes)
    )
      return;
    this.objection ??= `bytes ${at}+${bytes.length} may be lost`;
  }

  byDescriptor(fd: number): Watched | undefined {
    const inode = fs.fstatSync(fd).ino;
    return this.#files.find((one) => one.inode === inode);
  }

  /** fsync, fdatasync. */
  synced(fd: number): void {
    const file = this.byDescriptor(fd);
    if (file === undefined) return;
    file.durable = fs.readFileSync(file.path);
    file.byCall.clear();
    this.onDurable();
  }

  written(fd: number, offset: number, length: number): void {
    const { byCall } = this.byDescriptor(fd) ?? {};
    for (let at = offset - (offset % PAGE_SIZE); at < offset + length; at += PAGE_SIZE) {
      byCall?.add(at);
    }
  }

  mapped(address: number, length: number, fd: number, offset: number): void {
    const file = this.byDescriptor(fd);
    if (file !== undefined) this.#mapped.unshift({ address, length, file, offset });
  }

  /** msync of whole pages. */
  pagesWritten(address: number, length: number): void {
    this.#keep({ address, length }, () => false);
  }

  /** Lines that leave the caches, at the latest by the next {@link drained}. */
  flushed(address: number, length: number): void {
    this.#lines.push({ address, length });
  }

  drained(): void {
    for (const line of this.#lines) this.#keep(line, (page, { byCall }) => byCall.has(page));
    this.#lines = [];
  }

  close(): void {
    fs.rmSync(this.folder, { recursive: true });
  }

  #keep({ address, length }: Span, isLost: (page: number, file: Watched) => boolean): void {
    for (const one of this.#mapped) {
      const from = Math.max(address, one.address);
      const stop = Math.min(address + length, one.address + one.length);
      if (stop <= from) continue;
      const bytes = fs.readFileSync(one.file.path);
      const kept = Buffer.alloc(bytes.length);
      one.file.durable.copy(kept);
      for (let at = from - one.address + one.offset; at < stop - one.address + one.offset; at++) {
        if (!isLost(at - (at % PAGE_SIZE), one.file)) kept[at] = bytes[at] as number;
      }
      one.file.durable = kept;
      break;
    }
    this.onDurable();
  }
}

/** Runs a story on a host; what is wrong, undefined: nothing. */
export async function onHost(
  story: (machine: ModelledHost) => unknown,
): Promise<string | undefined> {
  host = new ModelledHost();
  try {
    await story(host);
    return host.objection;
  } finally {
    host.close();
    host = undefined;
  }
}

/** Calls `noted` after a call has been made. */
function watched(
  calls: Calls,
  name: string,
  noted: (machine: ModelledHost, args: readonly number[], result: unknown) => void,
): void {
  const call = calls[name] as Foreign;
  calls[name] = (...args) => {
    const result = call(...args);
    if (host !== undefined) noted(host, args as readonly number[], result);
    return result;
  };
}

/** Whatever is loaded goes by these from now on; with no story running they are what they were. */
function watchCalls(): void {
  const node = fs as unknown as Calls;
  for (const name of ["fsyncSync", "fdatasyncSync"]) {
    watched(node, name, (machine, [fd = 0]) => machine.synced(fd));
  }
  syncBuiltinESMExports();
  const c = libc();
  if (c === undefined) return;
  const files = fileCalls() as unknown as Calls;
  watched(files, "fdatasync", (machine, [fd = 0]) => machine.synced(fd));
  watched(files, "pwrite", (machine, [fd = 0, , length = 0, offset = 0]) => {
    machine.written(fd, offset, length);
  });
  for (const calls of [files, c as unknown as Calls]) {
    watched(calls, "msync", (machine, [at = 0, length = 0]) => machine.pagesWritten(at, length));
  }
  watched(c as unknown as Calls, "mmap", (machine, [, length = 0, , , fd = 0, offset = 0], at) => {
    if (at !== -1 && fd >= 0) machine.mapped(at as number, length, fd, offset);
  });
  watchCpu(c as unknown as Calls);
}

/** Bytes in the queue of a cache control; see `machine-code.unsafe.ts`. */
const QUEUE_BYTES = 2048;

/** What is emitted is known by its arguments, and what libpmem has by its name. */
function watchCpu(c: Calls): void {
  const koffi = createRequire(import.meta.url)("koffi") as Koffi;
  const { proto, decode, load } = koffi;
  const shapes = new WeakMap<object, string>();
  /** The queue of the control that is being made. */
  let queue: number | undefined;
  const { mmap } = c as { readonly mmap: Foreign };
  c["mmap"] = (...args) => {
    const at = mmap(...args) as number;
    if (args[1] === QUEUE_BYTES) queue = at;
    return at;
  };
  koffi.proto = (result, parameters) => {
    const type = proto(result, parameters);
    shapes.set(type, `${result} ${parameters.join()}`);
    return type;
  };
  koffi.decode = (...args) => {
    const call = decode(...args);
    const note = notes(shapes.get(args[1]) ?? "", queue);
    if (note === undefined) return call;
    return (...values) => {
      if (host !== undefined) note(host, values as readonly number[]);
      return host?.onPaper === true ? 0 : call(...values);
    };
  };
  koffi.load = (library) => {
    const own = host?.onPaper === true && library === "libpmem.so.1";
    return own ? { func: (name) => pmem(name) } : load(library);
  };
}

type Note = (machine: ModelledHost, values: readonly number[]) => void;

const flushed: Note = (machine, [at = 0, length = 0]) => machine.flushed(at, length);

/** What a function of such a shape does to lines; undefined: nothing. */
function notes(shape: string, queue: number | undefined): Note | undefined {
  if (shape === "void uintptr_t,size_t") return flushed;
  if (shape === "void uintptr_t,const void *,size_t") {
    return (machine, [at = 0, , length = 0]) => machine.flushed(at, length);
  }
  // The routine that survives faults waits for what it wrote back.
  if (shape === "int uintptr_t,size_t") {
    return (machine, values) => {
      flushed(machine, values);
      machine.drained();
    };
  }
  if (shape !== "void " || queue === undefined) return undefined;
  const block = new Float64Array(viewOf(queue, QUEUE_BYTES));
  return (machine) => {
    for (let i = 0; i < (block[0] ?? 0); i++) {
      machine.flushed(block[2 * i + 2] ?? 0, block[2 * i + 3] ?? 0);
    }
    machine.drained();
  };
}

function pmem(name: string): Foreign {
  return (...values) => {
    const [at = 0, second = 0, third = 0] = values as readonly number[];
    if (name === "pmem_drain") host?.drained();
    else host?.flushed(at, name === "pmem_flush" ? second : third);
    return 0;
  };
}

watchCalls();
