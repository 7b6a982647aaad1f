/**
 * Changes of a file system, and whether fdatasync makes them durable as fsync does. Written for any
 * `fs` of Node's shape, so that Linux can be asked too.
 */

/** What is used of `node:fs`. */
export interface RuleFs {
  chmodSync(path: string, mode: number): void;
  linkSync(from: string, to: string): void;
  renameSync(from: string, to: string): void;
  writeFileSync(path: string, text: string): void;
  appendFileSync(path: string, text: string): void;
  truncateSync(path: string, size: number): void;
  existsSync(path: string): boolean;
  readFileSync(path: string, encoding: "utf8"): string;
  statSync(path: string): { readonly mode: number };
}

/** One change; paths follow `at`, which ends with a slash. */
export interface SyncRule {
  readonly name: string;
  /** Makes it, and says which of `f`, `d` and new names is to be synced. */
  readonly change: (fs: RuleFs, at: string) => string;
  readonly isThere: (fs: RuleFs, at: string) => boolean;
  readonly fdatasync: boolean;
}

const reads = (fs: RuleFs, path: string, text: string): boolean =>
  fs.existsSync(path) && fs.readFileSync(path, "utf8") === text;

/** There are a file `f` with "old" and an empty directory `d`. */
export const SYNC_RULES: readonly SyncRule[] = [
  {
    name: "a mode",
    change: (fs, at) => (fs.chmodSync(`${at}f`, 0o600), "f"),
    isThere: (fs, at) => (fs.statSync(`${at}f`).mode & 0o777) === 0o600,
    fdatasync: false,
  },
  {
    name: "a second name, and its file is synced",
    change: (fs, at) => (fs.linkSync(`${at}f`, `${at}g`), "f"),
    isThere: (fs, at) => fs.existsSync(`${at}g`),
    fdatasync: false,
  },
  {
    name: "another name, and its file is synced",
    change: (fs, at) => (fs.renameSync(`${at}f`, `${at}g`), "g"),
    isThere: (fs, at) => fs.existsSync(`${at}g`),
    fdatasync: false,
  },
  {
    name: "a name, and its directory is synced",
    change: (fs, at) => (fs.renameSync(`${at}f`, `${at}d/f`), "d"),
    isThere: (fs, at) => fs.existsSync(`${at}d/f`),
    fdatasync: true,
  },
  {
    name: "a new file",
    change: (fs, at) => (fs.writeFileSync(`${at}n`, "new"), "n"),
    isThere: (fs, at) => reads(fs, `${at}n`, "new"),
    fdatasync: true,
  },
  {
    name: "more bytes",
    change: (fs, at) => (fs.appendFileSync(`${at}f`, "er"), "f"),
    isThere: (fs, at) => reads(fs, `${at}f`, "older"),
    fdatasync: true,
  },
  {
    name: "fewer bytes",
    change: (fs, at) => (fs.truncateSync(`${at}f`, 1), "f"),
    isThere: (fs, at) => reads(fs, `${at}f`, "o"),
    fdatasync: true,
  },
];
