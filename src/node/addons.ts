/**
 * Notices native addons: what they read or write themselves, nobody in this process sees.
 *
 * @module
 */
import { basename } from "node:path";

type Open = (...args: readonly unknown[]) => unknown;

/** Tells of each addon that is asked for, with its path; returns what ends that. */
export function watchAddons(noticed: (path: string) => void): () => void {
  const holder = process as unknown as { dlopen: Open };
  const { dlopen } = holder;
  holder.dlopen = (...args) => {
    noticed(String(args[1]));
    return Reflect.apply(dlopen, process, args);
  };
  return () => {
    holder.dlopen = dlopen;
  };
}

/** Addons that were asked for since it was made, for the verdict on a proof in a file. */
export class NoticedAddons implements Disposable {
  readonly #names = new Set<string>();
  readonly #end = watchAddons((path) => void this.#names.add(basename(path)));

  /** What a reader of a verdict must know of them; undefined: there is none. */
  get note(): string | undefined {
    if (this.#names.size === 0) return undefined;
    return (
      `a native addon was loaded (${[...this.#names].join(", ")}): what it writes itself goes ` +
      "around the volume and is not proved; that is recorded below the filesystem, by " +
      "'daxkit prove --mount-fuse' or 'daxkit nbd --record'"
    );
  }

  /** The same of those that a check or a recovery loaded. */
  get checkNote(): string | undefined {
    if (this.#names.size === 0) return undefined;
    return (
      `the check or the recovery loaded a native addon (${[...this.#names].join(", ")}), which ` +
      "sees no volume of this process: what it says of files is of others; a check that needs it " +
      "is a command, of 'daxkit prove --mount-fuse' or 'daxkit replay --check'"
    );
  }

  /** Nothing is noticed any more. */
  [Symbol.dispose](): void {
    this.#end();
  }
}
