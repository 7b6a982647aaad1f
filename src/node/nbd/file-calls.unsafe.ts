/**
 * Calls on files that Node does not have, or not by address.
 *
 * @module
 */
import { foreign, libc } from "../libc.unsafe.ts";

export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;
export const FALLOC_FL_KEEP_SIZE = 1;
export const FALLOC_FL_PUNCH_HOLE = 2;
export const FALLOC_FL_ZERO_RANGE = 16;
export const MADV_WILLNEED = 3;

/** Each returns what its manual page says: -1 is a failure. */
export interface FileCalls {
  pread(fd: number, target: Uint8Array, length: number, offset: number): number;
  pwrite(fd: number, source: Uint8Array, length: number, offset: number): number;
  lseek(fd: number, offset: number, whence: number): number;
  fallocate(fd: number, mode: number, offset: number, length: number): number;
  fdatasync(fd: number): number;
  msync(address: number, length: number, flags: number): number;
  madvise(address: number, length: number, advice: number): number;
  ioctl(fd: number, request: number, data: Uint8Array): number;
  /** Of the last failed call of this thread. */
  errno(): number;
}

let calls: FileCalls | undefined;

/** @throws ENOTSUP where foreign calls cannot be made */
export function fileCalls(): FileCalls {
  if (calls === undefined) {
    // Asked once: it looks at the environment each time.
    const c = libc()!;
    calls = {
      pread: foreign("pread", "intptr_t", ["int", "void *", "size_t", "int64_t"]),
      pwrite: foreign("pwrite", "intptr_t", ["int", "const void *", "size_t", "int64_t"]),
      fallocate: foreign("fallocate", "int", ["int", "int", "int64_t", "int64_t"]),
      fdatasync: foreign("fdatasync", "int", ["int"]),
      madvise: foreign("madvise", "int", ["uintptr_t", "size_t", "int"]),
      ioctl: foreign("ioctl", "int", ["int", "ulong", "void *"]),
      lseek: foreign("lseek", "int64_t", ["int", "int64_t", "int"]),
      msync: foreign("msync", "int", ["uintptr_t", "size_t", "int"]),
      errno: () => c.errno(),
    };
  }
  return calls;
}
