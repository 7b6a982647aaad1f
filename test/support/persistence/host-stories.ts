/** Files of the host, mapped and by calls, as media and exports: what a flush promised is kept. */
import { copyIn } from "../../../src/lib/memory.ts";
import type { Media } from "../../../src/media/media.ts";
import { BufferedFileMedia } from "../../../src/node/file-backing.ts";
import { closeUnlocked } from "../../../src/node/file-lock.ts";
import { libc } from "../../../src/node/libc.unsafe.ts";
import { cacheControls } from "../../../src/node/machine-code.unsafe.ts";
import { MappedFileMedia } from "../../../src/node/mapped-media.ts";
import { type OpenFileOptions, openMediaFile } from "../../../src/node/media-file.ts";
import { shareDataRun } from "../../../src/node/nbd/data-run.ts";
import { faultSafePage } from "../../../src/node/nbd/fault-safe.unsafe.ts";
import { FileStore } from "../../../src/node/nbd/file-store.ts";
import { MappedStore } from "../../../src/node/nbd/mapped-store.ts";
import type { NbdStore } from "../../../src/nbd/store.ts";
import type { MappedShare } from "../../../src/node/shares.ts";
import { noise } from "../bytes.ts";
import { NbdClient, nbdWorkload } from "../nbd-promises.ts";
import { type ModelledHost, onHost } from "./modelled-host.ts";
import type { Story } from "./story.ts";

const BYTES = noise(3, 200);
const LINE = 64;

const story = (name: string, told: (host: ModelledHost) => unknown): Story => ({
  name: `host: ${name}`,
  run: () => onHost(told),
});

/** Of a machine that can make foreign calls. */
const foreign = (name: string, told: (host: ModelledHost) => unknown): Story =>
  story(name, (host) => (libc() === undefined ? undefined : told(host)));

function store(media: Media, at: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) {
    const { start, length, memory } = media.window(at + done);
    const within = at + done - start;
    const run = Math.min(bytes.length - done, length - within);
    copyIn(memory, within, bytes.subarray(done, done + run));
    done += run;
  }
}

function buffered(path: string): BufferedFileMedia {
  return new BufferedFileMedia(openMediaFile(path, {}), {});
}

function mapped(path: string, options: OpenFileOptions): MappedFileMedia {
  return new MappedFileMedia(libc()!, openMediaFile(path, options), options);
}

/** Stores, flushes, and makes sure of it. */
function useMedia(host: ModelledHost, path: string, media: Media, at: number): void {
  store(media, at, BYTES);
  media.flush(at, BYTES.length);
  media.fence();
  host.promise(path, at, BYTES);
}

const media: readonly Story[] = [
  story("a file by calls", (host) => {
    const path = host.file();
    const file = buffered(path);
    useMedia(host, path, file, 100);
    file.close();
  }),
  story("a file by calls is closed", (host) => {
    const path = host.file();
    const file = buffered(path);
    store(file, 100, BYTES);
    file.flush(100, BYTES.length);
    file.close();
    host.promise(path, 100, BYTES);
  }),
  story("a file by calls is lent", (host) => {
    const path = host.file();
    const file = buffered(path);
    store(file, 100, BYTES);
    file.flush(100, BYTES.length);
    file.lend();
    host.promise(path, 100, BYTES);
    file.close();
  }),
  foreign("a mapped file", (host) => {
    const path = host.file();
    const file = mapped(path, { flush: "msync" });
    useMedia(host, path, file, 5000);
    file.close();
  }),
  foreign("a mapped file by lines", (host) => {
    const path = host.file();
    const file = mapped(path, { flush: "cache-line" });
    const { size } = file;
    useMedia(host, path, file, 5000);
    file.grow(2 * size);
    useMedia(host, path, file, size - 70);
    store(file, 9000, BYTES);
    file.flush(9000, BYTES.length);
    file.close();
    host.promise(path, 9000, BYTES);
  }),
];

/** A client of a store, and what it was promised. */
function useStore(host: ModelledHost, path: string, served: NbdStore): void {
  nbdWorkload(new NbdClient(served, ({ at, bytes }) => host.promise(path, at, bytes)), 1);
}

/** A mapped file as an export, as some machine would map it. */
function exported(host: ModelledHost, as: Partial<MappedShare>, survivesFaults: boolean): void {
  const path = host.file();
  const file = mapped(path, { flush: "msync" });
  const lent = file.share();
  const faultSafe = survivesFaults ? faultSafePage() : undefined;
  const dataRun = shareDataRun();
  useStore(host, path, new MappedStore({ mapped: { ...lent.share, ...as }, faultSafe, dataRun }));
  lent.release();
  file.close();
}

const LINES = { durability: "cache-line", cacheControl: "clwb" } as const;

const stores: readonly Story[] = [
  story("an export by calls", (host) => {
    const path = host.file();
    const file = openMediaFile(path, {});
    useStore(host, path, new FileStore(file));
    closeUnlocked(file.fd);
  }),
  foreign("an export of a mapped file", (host) => exported(host, { durability: "msync" }, true)),
  foreign("an export by lines", (host) => exported(host, LINES, true)),
  foreign("an export by lines, of pages that stay", (host) => exported(host, LINES, false)),
];

type Make = ReturnType<typeof cacheControls>[number]["make"];

/** More ranges than wait for one call, and one that is too long to wait. */
function useLines(host: ModelledHost, name: string, make: Make): void {
  const path = host.file(undefined, name);
  const file = mapped(path, { flush: "msync" });
  const lent = file.share();
  const address = lent.share.runs[0]!.address;
  const control = make();
  if (control === undefined) return;
  const bytes = noise(7, 300 * LINE);
  store(file, 0, bytes);
  for (let at = 0; at < 300; at += 2) control.flush(address + at * LINE, LINE);
  control.drain();
  for (let at = 0; at < 300; at += 2) {
    host.promise(path, at * LINE, bytes.subarray(at * LINE, (at + 1) * LINE));
  }
  control.flush(address, bytes.length);
  control.drain();
  host.promise(path, 0, bytes);
  lent.release();
  file.close();
}

const lines = foreign("cache lines, in each way of this machine", (host) => {
  host.onPaper = true;
  for (const { name, make } of cacheControls()) useLines(host, name, make);
});

export const stories: readonly Story[] = [...media, ...stores, lines];
