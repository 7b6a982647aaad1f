/**
 * How to tell for a call of `node:fs` whose it is: the volume's, or the machine's.
 *
 * @module
 */

/**
 * What says where a call goes: a path or a descriptor, a descriptor, two paths, the second of two,
 * or the pattern and directory of a search.
 */
export type Route = "path" | "descriptor" | "paths" | "second" | "pattern";

const PATH = (
  "access appendFile chmod chown exists lchmod lchown lstat lutimes mkdir mkdtemp " +
  "mkdtempDisposable open openAsBlob opendir readFile readdir readlink realpath rm " +
  "rmdir stat statfs truncate unlink unwatchFile utimes watch watchFile writeFile"
).split(" ");
const DESCRIPTOR =
  "close fchmod fchown fdatasync fstat fsync ftruncate futimes read readv write writev".split(" ");
const PATHS = ["copyFile", "cp", "link", "rename"];

const routes = new Map<string, Route>([
  ...PATH.map((name) => [name, "path"] as const),
  ...DESCRIPTOR.map((name) => [name, "descriptor"] as const),
  ...PATHS.map((name) => [name, "paths"] as const),
  ["symlink", "second"],
  ["glob", "pattern"],
]);

/** The name of a call without its flavour. */
export function plainName(name: string): string {
  return name.endsWith("Sync") ? name.slice(0, -"Sync".length) : name;
}

/** How a function of `node:fs` is told; undefined for what is no call on files. */
export function routeOf(name: string): Route | undefined {
  return routes.get(plainName(name));
}

const LOOKS = new Set(
  (
    "access exists lstat openAsBlob opendir readFile readdir readlink realpath stat " +
    "statfs unwatchFile watch watchFile glob"
  ).split(" "),
);

/** The paths that a call on the machine's own files may change. */
export function changedPaths(name: string, args: readonly unknown[]): readonly unknown[] {
  const plain = plainName(name);
  if (LOOKS.has(plain)) return [];
  if (plain === "open" && !opensToWrite(args[1])) return [];
  if (plain === "rename") return args.slice(0, 2);
  return ["copyFile", "cp", "link", "symlink"].includes(plain) ? [args[1]] : [args[0]];
}

function opensToWrite(flags: unknown): boolean {
  if (typeof flags === "number") return (flags & 0o3) !== 0 || (flags & 0o1100) !== 0;
  return typeof flags === "string" && /[wa+]/u.test(flags);
}

/** Whether an argument of a call is a path. */
export function isPathAt(route: Route | undefined, index: number): boolean {
  if (index === 0) return route === "path" || route === "paths";
  return index === 1 && (route === "paths" || route === "second");
}
