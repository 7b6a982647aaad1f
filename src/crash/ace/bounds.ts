/**
 * The bounds of the generator: which calls with which arguments. As in ACE, there are files and
 * second files, so that workloads which differ in names alone are made once, and two directories.
 *
 * What ACE has beside these would be the same here: its `remove` is `unlink`, its direct writes go
 * the way of the others, for the driver has no page cache; to keep the size means nothing inside of
 * it, there is nothing to be punched behind it, and where a file lies nothing to its blocks.
 *
 * @module
 */
import { type Allocation, type Operation, type Where, concernOf } from "./workload.ts";

/** Which filesystem a workload is for. */
export type AceFilesystem = "ext2" | "ext4";

const FILES = ["/foo", "/A/foo"];
const SECOND = ["/bar", "/A/bar"];
const WHERE: readonly Where[] = ["append", "overlap", "extend"];
const MODES: readonly (readonly [Allocation, readonly Where[]])[] = [
  ["allocate", WHERE],
  ["keep", ["append", "extend"]],
  ["punch", ["overlap", "extend"]],
  ["zero", WHERE],
  ["zeroKeep", ["append", "extend"]],
];

/** Every call that a workload may be about; ext2 has no `falloc`. */
export function operationsOf(filesystem: AceFilesystem): readonly Operation[] {
  return [...names(), ...contents(), ...(filesystem === "ext2" ? [] : allocations())];
}

function names(): Operation[] {
  return [
    ...FILES.map((path) => ({ do: "creat", path }) as const),
    { do: "mkdir", path: "/A" },
    { do: "rmdir", path: "/A" },
    ...pairs("link", [...FILES, ...SECOND], SECOND),
    ...pairs("symlink", ["/foo"], SECOND),
    ...[...FILES, ...SECOND].map((path) => ({ do: "unlink", path }) as const),
    ...pairs("rename", [...FILES, ...SECOND], SECOND),
    { do: "rename", path: "/A", to: "/B" },
    ...FILES.flatMap((path) => [
      { do: "setxattr", path } as const,
      { do: "removexattr", path } as const,
    ]),
  ];
}

function contents(): Operation[] {
  return FILES.flatMap((path) => [
    ...WHERE.map((where) => ({ do: "write", path, where }) as const),
    { do: "mmapwrite", path, where: "overlap" },
    { do: "mmapwrite", path, where: "append" },
    { do: "truncate", path, to: "aligned" },
    { do: "truncate", path, to: "unaligned" },
  ]);
}

function allocations(): Operation[] {
  return MODES.flatMap(([mode, all]) =>
    all.map((where) => ({ do: "falloc", path: "/foo", mode, where }) as const),
  );
}

/**
 * False for one of two workloads that only differ in names: without a call on names it is the same
 * which of two files comes first.
 */
export function isFirstOfItsKind(calls: readonly Operation[]): boolean {
  return calls[0]?.path === FILES[0] || calls.length < 2 || !calls.every(isOnEither);
}

/** Whether it is about the contents of a file, and the bounds have it for the other file too. */
function isOnEither(operation: Operation): boolean {
  return operation.do !== "falloc" && concernOf(operation).directories.length === 0;
}

function pairs(
  name: "link" | "symlink" | "rename",
  from: readonly string[],
  others: readonly string[],
): Operation[] {
  return from.flatMap((path) =>
    others.filter((to) => to !== path).map((to) => ({ do: name, path, to })),
  );
}
