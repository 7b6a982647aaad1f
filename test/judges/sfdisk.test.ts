/** sfdisk makes partition tables on files; what it says of them is what we must say. */
import { execFileSync } from "node:child_process";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readPartitionTable } from "../../src/block/partition-table.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { scratch } from "../support/scratch.ts";
import { programs } from "./judge.ts";

const sfdisk = programs(["sfdisk"], "apt-get install fdisk");

/** What `sfdisk --json` says. */
interface Report {
  readonly partitiontable: {
    readonly label: string;
    readonly id: string;
    readonly partitions?: readonly {
      readonly node: string;
      readonly start: number;
      readonly size: number;
      readonly type: string;
      readonly uuid?: string;
      readonly name?: string;
      readonly bootable?: boolean;
    }[];
  };
}

/** Both sides in the same words. */
interface Summary {
  readonly label: string;
  readonly id: string;
  readonly entries: readonly Record<string, unknown>[];
}

function theirs(path: string): Summary {
  const json = execFileSync("sfdisk", ["--json", path], { encoding: "utf8", stdio: "pipe" });
  const { label, id, partitions = [] } = (JSON.parse(json) as Report).partitiontable;
  const entries = partitions.map((p) => ({
    index: Number(/\d+$/u.exec(p.node)?.[0]),
    start: p.start,
    sectors: p.size,
    type: p.type.toLowerCase().padStart(2, "0"),
    name: p.name ?? "",
    // sfdisk says nothing of identities in a DOS table, and of bootable in a GPT.
    uuid: p.uuid?.toLowerCase(),
    bootable: label === "dos" ? (p.bootable ?? false) : undefined,
  }));
  return { label, id: id.toLowerCase(), entries };
}

function ours(path: string): Summary | undefined {
  const disk = new RamDisk({ name: "disk", bytes: readFileSync(path) });
  const table = readPartitionTable(disk);
  if (table === undefined) return undefined;
  const gpt = table.label === "gpt";
  const entries = table.entries.map(({ index, start, sectors, type, name, uuid, bootable }) => ({
    index,
    start,
    sectors,
    type,
    name,
    uuid: gpt ? uuid : undefined,
    bootable: gpt ? undefined : bootable,
  }));
  return { label: table.label, id: table.id, entries };
}

/** A file of `mib` MiB that sfdisk has partitioned as the script says. */
function partitioned(mib: number, script: string): string {
  const path = scratch(undefined, "disk.img");
  writeFileSync(path, "");
  truncateSync(path, mib * 2 ** 20);
  execFileSync("sfdisk", ["--quiet", path], { input: script, stdio: ["pipe", "pipe", "pipe"] });
  return path;
}

const scripts: Readonly<Record<string, string>> = {
  "one DOS partition": "label: dos\n,,83\n",
  "four DOS partitions": "label: dos\n,1M,83,*\n,2M,82\n,3M,c\n,,7\n",
  "logical partitions": `label: dos\n,1M,83\n,,5\n${",1M,83\n".repeat(6)}`,
  "fifteen logical partitions": `label: dos\n,,f\n${"size=100K,type=83\n".repeat(15)}`,
  "a gap in the slots": "label: dos\n1 : size=1M,type=83\n3 : size=2M,type=83\n",
  "a GPT with names": 'label: gpt\nsize=1M,name="one"\nsize=2M,name="zwei €",type=U\n,\n',
  "a GPT with a gap": "label: gpt\n2 : size=1M\n9 : size=1M\n128 : size=1M\n",
  "an empty DOS table": "label: dos\n",
  "an empty GPT": "label: gpt\n",
};

describe(`sfdisk agrees on${sfdisk.hint}`, () => {
  test.skipIf(sfdisk.missing).each(Object.entries(scripts))("%s", (_, script) => {
    const path = partitioned(32, script);
    expect(ours(path)).toEqual(theirs(path));
  });

  test.skipIf(sfdisk.missing)("a GPT whose primary header was overwritten", () => {
    const path = partitioned(32, "label: gpt\nsize=1M\n,\n");
    const want = theirs(path);
    const bytes = readFileSync(path);
    bytes.fill(0, 512, 1024);
    writeFileSync(path, bytes);
    expect(ours(path)).toEqual(want);
    expect(theirs(path)).toEqual(want);
  });
});
