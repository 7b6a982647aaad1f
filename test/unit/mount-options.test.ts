/** `-o`: what each word does, what the last one of two says, and what is refused by name. */
import { describe, expect, test } from "vitest";
import { readMountOptions, splitOptions } from "../../src/cli/mount-options.ts";
import { MOUNT_WORDS, type MountSettings, REFUSED } from "../../src/cli/mount-words.ts";
import { isDaxError } from "../../src/lib/errno.ts";

const PLAIN = readMountOptions([]).settings;

/** What differs from no options at all. */
function said(...lists: string[]): Partial<MountSettings> {
  const entries = Object.entries(readMountOptions(lists).settings);
  return Object.fromEntries(
    entries.filter(([name, value]) => value !== PLAIN[name as keyof MountSettings]),
  );
}

function refusal(list: string): string {
  try {
    readMountOptions([list]);
  } catch (error) {
    if (isDaxError(error)) return error.message;
    throw error;
  }
  return "nothing";
}

describe("words", () => {
  test.each<[string, Partial<MountSettings>]>([
    ["", {}],
    ["defaults", {}],
    ["ro", { readOnly: true }],
    ["noatime", { atime: "none" }],
    ["strictatime,nodiratime", { atime: "strict", nodiratime: true }],
    ["relatime", {}],
    ["noexec,nodev,nosuid", { noexec: true, nodev: true, nosuid: true }],
    ["dax", { dax: "always" }],
    ["dax=always", { dax: "always" }],
    ["dax=never", { dax: "never" }],
    ["dax=inode", { dax: "inode" }],
    ["commit=30", { commit: 30 }],
    ["commit=0", { commit: 0 }],
    ["errors=remount-ro", { errors: "remount-ro" }],
    ["errors=panic", { errors: "panic" }],
    ["data=writeback", { data: "writeback" }],
    ["noload", { noload: true }],
    ["norecovery", { noload: true }],
    ["nodelalloc", { nodelalloc: true }],
    ["minixdf", { minixdf: true }],
    ["allow_other,uid=1000,gid=0,umask=027", { allowOther: true, uid: 1000, gid: 0, umask: 0o27 }],
    ["offset=1M", { offset: 2 ** 20 }],
    ["partition=2", { partition: 2 }],
    ["writeback_cache,no_open", { writebackCache: true, noOpen: true }],
    ["fsname=/dev/x,subtype=ext4", { fsname: "/dev/x", subtype: "ext4" }],
    ["nonempty,noauto_unmount", { nonempty: true, autoUnmount: false }],
    ["remount", { remount: true }],
  ])("%s", (list, settings) => {
    expect(said(list)).toEqual(settings);
  });

  test("the last one of two counts, across lists as well", () => {
    expect(said("ro,rw")).toEqual({});
    expect(said("ro", "rw,ro")).toEqual({ readOnly: true });
    expect(said("noatime,strictatime")).toEqual({ atime: "strict" });
    expect(said("dax=never,dax")).toEqual({ dax: "always" });
    expect(said("commit=3", "commit=4")).toEqual({ commit: 4 });
    expect(said("offset=4096,partition=1")).toEqual({ partition: 1 });
    expect(said("partition=1,offset=4096")).toEqual({ offset: 4096 });
    expect(said("nodelalloc,delalloc,minixdf,bsddf,allow_other,noallow_other")).toEqual({
      allowOther: false,
    });
  });

  test("user forbids what users must not have, and what follows allows it again", () => {
    expect(said("user")).toEqual({ noexec: true, nodev: true, nosuid: true });
    expect(said("user=joe,exec")).toEqual({ nodev: true, nosuid: true });
    expect(said("exec,users")).toEqual({ noexec: true, nodev: true, nosuid: true });
    expect(said("owner")).toEqual({ nodev: true, nosuid: true });
  });

  test("what is for others is accepted, and told apart", () => {
    const list = "auto,nofail,_netdev,x-systemd.requires=a.mount,comment=x,X-mine,barrier=1,async";
    expect(readMountOptions([`${list},ro`])).toEqual({
      settings: { ...PLAIN, readOnly: true },
      ignored: list.split(","),
    });
  });

  test("users and groups have names where somebody knows them", () => {
    const owners = { user: () => 7, group: () => undefined };
    expect(readMountOptions(["uid=joe"], { owners }).settings.uid).toBe(7);
    expect(() => readMountOptions(["gid=joe"], { owners })).toThrow(/EINVAL.*"gid=joe".*group/u);
  });

  test("commas may be part of a word", () => {
    expect(splitOptions(String.raw`a,"b,c",d=\,\\\x,,e"f"`)).toEqual([
      "a",
      "b,c",
      String.raw`d=,\\x`,
      "ef",
    ]);
    expect(said('fsname="a,b",ro')).toEqual({ fsname: "a,b", readOnly: true });
  });
});

describe("refusals name the word, and what there is", () => {
  test.each([
    ["noatme", /^EINVAL.*"noatme" is unknown; did you mean noatime\?.* ro, rw, .*writeback_cache/u],
    ["constructor", /^EINVAL.*"constructor" is unknown/u],
    ["__proto__=1", /^EINVAL.*"__proto__=1" is unknown/u],
    ["=x", /^EINVAL.*"=x" is unknown/u],
    ["RO", /^EINVAL.*"RO" is unknown/u],
    ["zzzzzz", /^EINVAL.*"zzzzzz" is unknown; there are ro, rw/u],
    ["ro=1", /^EINVAL.*"ro=1": 'ro' has no value/u],
    ["commit", /^EINVAL.*'commit': its value is missing \(commit=SECONDS\)/u],
    ["commit=", /^EINVAL.*"commit=": seconds/u],
    ["commit=-1", /^EINVAL.*"commit=-1": seconds/u],
    ["commit=1e3", /^EINVAL/u],
    ["commit=9999999", /^EINVAL.*2147483/u],
    ["errors=die", /^EINVAL.*continue, remount-ro, panic/u],
    ["dax=yes", /^EINVAL.*always, never, inode/u],
    ["data=journal", /^EINVAL.*fsync/u],
    ["data=x", /^EINVAL.*ordered, writeback/u],
    ["umask=8", /^EINVAL.*octal/u],
    ["umask=1000", /^EINVAL.*octal/u],
    ["uid=-1", /^EINVAL.*"uid=-1"/u],
    ["uid=4294967295", /^EINVAL.*4294967294/u],
    ["uid=root", /^EINVAL.*"uid=root".*no user/u],
    ["offset=x", /^EINVAL.*bytes/u],
    ["offset=16E", /^EINVAL/u],
    ["partition=0", /^EINVAL.*from 1/u],
    ["fsname=a\0b", /^EINVAL.*NUL/u],
    ['fsname="a', /^EINVAL.*quote/u],
    ["sync", /^ENOTSUP.*"sync".*fsync/u],
    ["usrquota", /^ENOTSUP.*quota/u],
    ["context=system_u:object_r:x", /^ENOTSUP.*"context=system_u/u],
    ["ro,".repeat(30_000), /^EINVAL.*90000 characters/u],
  ])("%s", (list, message) => {
    expect(refusal(list)).toMatch(message);
  });

  test("a long word is cut in the message", () => {
    expect(refusal("y".repeat(50_000)).length).toBeLessThan(1500);
  });

  test("sloppy ignores what is not known, and no wrong value", () => {
    const read = readMountOptions(["whatever=1,sync,ro"], { sloppy: true });
    expect(read.ignored).toEqual(["whatever=1", "sync"]);
    expect(read.settings.readOnly).toBe(true);
    expect(() => readMountOptions(["commit=x"], { sloppy: true })).toThrow(/EINVAL/u);
  });

  test("nothing is both known and refused", () => {
    expect(Object.keys(REFUSED).filter((name) => Object.hasOwn(MOUNT_WORDS, name))).toEqual([]);
  });
});
