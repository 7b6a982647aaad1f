/**
 * The rows of `fuse.bench.ts`, in stages: rows that need the same files stand together, and are run
 * one after the other on a filesystem of their own.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { folderWithManyFiles } from "./images.ts";
import { sh } from "./fuse-subjects.ts";

const SECONDS = Number(process.env["FUSE_BENCH_SECONDS"] ?? 1);
const MIB = Number(process.env["FUSE_BENCH_MIB"] ?? 512);
const FILES = Number(process.env["FUSE_BENCH_FILES"] ?? 50_000);
const TREE_FILES = Number(process.env["FUSE_BENCH_TREE"] ?? 10_000);

/** What a client did. Its processor time is that of all child processes unless it is said. */
export interface Work {
  readonly operations: number;
  readonly seconds: number;
  readonly cpu?: number;
}

/** A row of the table. */
export interface Row {
  readonly name: string;
  /** What a rate counts. */
  readonly unit: string;
  /** The filesystem is mounted anew before: nothing of it is cached. */
  readonly cold?: boolean;
  /** It can be run on a filesystem that keeps nothing. */
  readonly onEmpty?: boolean;
  run(directory: string, isEmpty: boolean): Work;
}

/** Rows that are run in this order, in each round. */
export interface Stage {
  /** Rows live on what those before them left. */
  readonly chained?: boolean;
  /** Once, on the fresh filesystem. */
  prepare(directory: string, isEmpty: boolean): void;
  readonly rows: readonly Row[];
}

interface FioSide {
  readonly total_ios: number;
  readonly runtime: number;
}

interface FioOutput {
  readonly jobs: readonly { readonly read: FioSide; readonly write: FioSide }[];
}

interface FioRow {
  readonly name: string;
  readonly rw: string;
  readonly size: string;
  readonly engine?: string;
  readonly depth?: number;
  readonly direct?: boolean;
}

function fio({ name, rw, size, engine = "psync", depth = 1, direct = false }: FioRow): Row {
  const random = rw.startsWith("rand");
  return {
    name,
    unit: random ? "IOPS" : "MiB/s",
    onEmpty: true,
    run(directory) {
      const what = [
        `--rw=${rw}`,
        `--bs=${size}`,
        `--iodepth=${depth}`,
        `--direct=${direct ? 1 : 0}`,
      ];
      const on = [`--filename=${join(directory, "file")}`, `--ioengine=${engine}`];
      const limit = random ? ["--time_based", `--runtime=${SECONDS * 1000}ms`] : ["--loops=1"];
      const more = [`--size=${MIB}m`, "--randrepeat=0", "--thread", "--output-format=json"];
      const ends = rw.includes("write") ? ["--end_fsync=1"] : [];
      const json = sh("fio", ["--name=row", ...what, ...on, ...limit, ...more, ...ends]);
      const [job] = (JSON.parse(json.slice(json.indexOf("{"))) as FioOutput).jobs;
      const side = rw.includes("read") ? job!.read : job!.write;
      return { operations: side.total_ios, seconds: side.runtime / 1000 };
    },
  };
}

/** How long a program takes, from its start to its end. */
function timed(operations: number, program: string, args: readonly string[]): Work {
  const began = process.hrtime.bigint();
  sh(program, args);
  return { operations, seconds: Number(process.hrtime.bigint() - began) / 1e9 };
}

const small = (["", "direct "] as const).flatMap((how) => {
  return [1, 16].flatMap((depth) => {
    const direct = how !== "";
    const engine = depth === 1 ? "psync" : direct ? "libaio" : "io_uring";
    const rest = { size: "4k", engine, depth, direct };
    const name = (what: string) => `${how}4 KiB random ${what}, depth ${depth}`;
    return [
      fio({ name: name("read"), rw: "randread", ...rest }),
      fio({ name: name("write"), rw: "randwrite", ...rest }),
    ];
  });
});

const contents: Stage = {
  prepare(directory, isEmpty) {
    if (isEmpty) return;
    const words = [`of=${join(directory, "file")}`, "bs=1M", `count=${MIB}`, "conv=fsync"];
    sh("dd", ["if=/dev/urandom", ...words]);
  },
  rows: [
    fio({ name: "1 MiB sequential read", rw: "read", size: "1m" }),
    fio({ name: "1 MiB sequential write", rw: "write", size: "1m" }),
    fio({ name: "direct 1 MiB sequential read", rw: "read", size: "1m", direct: true }),
    fio({ name: "direct 1 MiB sequential write", rw: "write", size: "1m", direct: true }),
    ...small,
  ],
};

const wholeFiles: Stage = {
  chained: true,
  prepare() {},
  rows: [
    {
      name: "dd of a new file, fsync",
      unit: "MiB/s",
      run(directory) {
        const path = join(directory, "new");
        rmSync(path, { force: true });
        const words = [`of=${path}`, "bs=1M", `count=${MIB}`, "conv=fsync"];
        return timed(MIB, "dd", ["if=/dev/zero", ...words]);
      },
    },
    {
      name: "dd from a file, cold",
      unit: "MiB/s",
      cold: true,
      run: (directory) =>
        timed(MIB, "dd", [`if=${join(directory, "new")}`, "of=/dev/null", "bs=1M"]),
    },
  ],
};

const client = join(import.meta.dirname, "fuse-names.ts");

function names(name: string, what: string, cold = false): Row {
  return {
    name,
    unit: "files/s",
    cold,
    run(directory) {
      const args = ["--import", "tsx", client, directory, what, String(FILES)];
      const { seconds, cpu } = JSON.parse(sh(process.execPath, args)) as Required<Work>;
      return { operations: FILES, seconds, cpu };
    },
  };
}

const smallFiles: Stage = {
  chained: true,
  prepare() {},
  rows: [
    names(`create ${FILES} files of 1 KiB`, "create"),
    names("stat them, just made", "stat"),
    names("stat them, cold", "stat", true),
    names("stat them, warm", "stat"),
    names("read them, cold", "read", true),
    names("unlink them, cold", "unlink", true),
  ],
};

/** Arguments of git in the tree on a directory. */
function git(directory: string, ...words: string[]): string[] {
  const who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "gc.auto=0"];
  return ["-C", join(directory, "many"), ...who, ...words];
}

/** The archive and the repository are made once, beside the images. */
function trees(folder: string): Stage {
  const archive = join(folder, "tree.tar");
  const source = join(folder, "source");
  if (!existsSync(archive)) {
    mkdirSync(source);
    const many = folderWithManyFiles(source, TREE_FILES);
    writeFileSync(join(many, "README"), "a repository\n");
    sh("tar", ["-cf", archive, "-C", source, "many"]);
    rmSync(source, { recursive: true });
  }
  const status = (name: string, cold: boolean): Row => ({
    name,
    unit: "files/s",
    cold,
    run: (directory) => timed(TREE_FILES, "git", git(directory, "status", "--porcelain")),
  });
  return {
    chained: true,
    prepare() {},
    rows: [
      {
        name: `untar ${TREE_FILES} files`,
        unit: "files/s",
        run(directory) {
          return timed(TREE_FILES, "tar", ["-xf", archive, "-C", directory]);
        },
      },
      {
        name: `git add ${TREE_FILES} files`,
        unit: "files/s",
        run(directory) {
          sh("git", git(directory, "init", "-q"));
          return timed(TREE_FILES, "git", git(directory, "add", "."));
        },
      },
      status("git status, cold", true),
      status("git status, warm", false),
      {
        name: "find -type f, cold",
        unit: "files/s",
        cold: true,
        run: (directory) => timed(TREE_FILES, "find", [join(directory, "many"), "-type", "f"]),
      },
      {
        name: `rm -rf of ${TREE_FILES} files and their repository`,
        unit: "files/s",
        run: (directory) => timed(TREE_FILES, "rm", ["-rf", join(directory, "many")]),
      },
    ],
  };
}

/** All stages. */
export function stagesOf(folder: string): Stage[] {
  return [contents, wholeFiles, smallFiles, trees(folder)];
}
