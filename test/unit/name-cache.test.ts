import { expect, test, vi } from "vitest";
import { DaxError } from "../../src/lib/errno.ts";
import { NameCache } from "../../src/vfs/name-cache.ts";
import { codeOf } from "../support/bytes.ts";
import { ToyFilesystem, type ToyInode } from "../support/toy-filesystem.ts";

/** A directory that counts how it is asked. */
function counted(names: number): { directory: ToyInode; asked: () => [number, number] } {
  const fs = new ToyFilesystem();
  const { root: directory } = fs;
  for (let i = 0; i < names; i++) fs.file(directory, `f${i}`, new Uint8Array(0));
  const lookups = vi.spyOn(directory, "lookup");
  const lists = vi.spyOn(directory, "readdir");
  return { directory, asked: () => [lookups.mock.calls.length, lists.mock.calls.length] };
}

test("a directory that is asked again and again is read once, and answers the same", () => {
  const { directory, asked } = counted(500);
  const cache = new NameCache();
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 500; i++) {
      expect(cache.lookup(directory, `f${i}`)).toBe(directory.entries.get(`f${i}`));
    }
    expect(cache.lookup(directory, "none")).toBe(undefined);
  }
  expect(asked()).toEqual([12, 1]);
});

test("a directory that is asked now and then is searched", () => {
  const { directory, asked } = counted(5);
  const cache = new NameCache();
  for (let i = 0; i < 5; i++) cache.lookup(directory, `f${i}`);
  expect(asked()).toEqual([5, 0]);
});

test("what is too large is never kept, and of the rest the oldest goes first", () => {
  const cache = new NameCache();
  const some = Array.from({ length: 3 }, () => counted(40_000));
  const large = counted(100_001);
  const ask = ({ directory }: typeof large, times: number): void => {
    for (let i = 0; i < times; i++) cache.lookup(directory, "f7");
  };
  for (const one of [...some, large]) ask(one, 20);
  expect(some.map(({ asked }) => asked()[0])).toEqual([12, 12, 12]);
  expect(large.asked()).toEqual([20, 1]);
  for (const one of some) ask(one, 5);
  expect(some.map(({ asked }) => asked()[0])).toEqual([17, 12, 12]);
});

test("a damaged directory goes on being searched, up to where the damage is", () => {
  const { directory, asked } = counted(50);
  directory.readdir = () => {
    throw new DaxError("EUCLEAN", { syscall: "scandir" });
  };
  const cache = new NameCache();
  for (let i = 0; i < 30; i++) cache.lookup(directory, "f3");
  expect(asked()[0]).toBe(30);
});

test("an entry for no inode fails as the directory says", () => {
  const { directory } = counted(50);
  directory.add("ghost", { ino: 4_000_000 } as ToyInode);
  const cache = new NameCache();
  for (let i = 0; i < 30; i++) cache.lookup(directory, "f3");
  expect(codeOf(() => cache.lookup(directory, "ghost"))).toBe(undefined);
});

test("forget makes room for what has changed", () => {
  const { directory } = counted(50);
  const cache = new NameCache();
  for (let i = 0; i < 30; i++) cache.lookup(directory, "f3");
  directory.remove("f3");
  cache.forget();
  expect(cache.lookup(directory, "f3")).toBe(undefined);
});
