/**
 * `mmapSync`: a file of the volume as memory. `node:fs` has nothing like it.
 *
 * @module
 */
import { constants } from "node:fs";
import type { Mapping } from "../../vfs/mapping.ts";
import type { OpenFile } from "../../vfs/open-file.ts";
import {
  checkBoolean,
  checkDescriptor,
  checkInteger,
  invalidValue,
  plainOptions,
} from "./arguments.ts";
import { type Context, onFile, onPath } from "./context.ts";
import { openFile } from "./opening.ts";
import { pathOf } from "./paths.ts";

const { O_RDONLY, O_RDWR } = constants;

/** What of a file to map, and what for. */
export interface MmapOptions {
  /** Bytes from the start of the file; 0 unless given. */
  readonly offset?: number;
  /** Bytes; to the end of the file unless given. */
  readonly length?: number;
  /** Whether stores reach the file; where the volume can be written, they do unless told. */
  readonly access?: "read" | "write";
  /**
   * MAP_SYNC: what the stores need to be found again is durable before the mapping is there, so
   * that flushing the bytes alone makes them so. Needs dax.
   */
  readonly sync?: boolean;
  /** Pages get their blocks at the first store to each; all at once unless told. */
  readonly lazy?: boolean;
  /** MAP_PRIVATE: stores copy their page, and never reach the file. */
  readonly private?: boolean;
  /** MAP_POPULATE: the faults of all pages are taken at once, for loads or for stores. */
  readonly populate?: "read" | "write";
}

/** Maps a file by its path or descriptor. */
export type Mmap = (file: string | Buffer | URL | number, options?: MmapOptions) => Mapping;

/** The options as the tree wants them. */
interface Asked extends Omit<MmapOptions, "sync" | "lazy" | "private"> {
  readonly sync: boolean;
  readonly lazy: boolean;
  readonly private: boolean;
}

function asked(given: unknown): Asked {
  const all = plainOptions(given);
  const { offset, length, access, populate, sync = false, lazy = false } = all;
  const { private: isPrivate = false } = all;
  if (access !== undefined && access !== "read" && access !== "write") {
    throw invalidValue("options.access", access, "must be 'read' or 'write'");
  }
  if (populate !== undefined && populate !== "read" && populate !== "write") {
    throw invalidValue("options.populate", populate, "must be 'read' or 'write'");
  }
  return {
    ...(offset === undefined ? {} : { offset: checkInteger(offset, "options.offset", 0) }),
    ...(length === undefined ? {} : { length: checkInteger(length, "options.length", 1) }),
    ...(access === undefined ? {} : { access }),
    ...(populate === undefined ? {} : { populate }),
    sync: checkBoolean(sync, "options.sync"),
    lazy: checkBoolean(lazy, "options.lazy"),
    private: checkBoolean(isPrivate, "options.private"),
  };
}

function mapOpen(file: OpenFile, options: Asked): Mapping {
  return onFile("mmap", () => file.map(options));
}

/** `mmapSync(file, options?)`. @throws as open(2) and mmap(2) */
export function mmap(context: Context, args: readonly unknown[]): Mapping {
  const [target, given] = args;
  const options = asked(given);
  if (typeof target === "number") {
    return mapOpen(context.file(checkDescriptor(target), "mmap"), options);
  }
  const path = pathOf(target);
  return onPath(path, "mmap", () => {
    const writes = options.access ?? (isWritable(context, path.path) ? "write" : "read");
    const stores = writes === "write" && !options.private;
    const file = openFile(context, path, stores ? O_RDWR : O_RDONLY);
    try {
      return mapOpen(file, { ...options, access: writes });
    } finally {
      file.close();
    }
  });
}

function isWritable(context: Context, path: string): boolean {
  return context.tree.stat(path, context.by("mmap")).writing !== undefined;
}
