/**
 * `IMAGE` and `IMAGE:/path` on the command line. File names may hold colons themselves: the longest
 * beginning of the word that names an existing file is the image, as a person would read it. So may
 * URIs of exports: there the first `:/` behind the scheme begins the path.
 *
 * @module
 */
import { statSync } from "node:fs";
import { DaxError } from "../lib/errno.ts";
import { isNbdUri } from "../nbd/uri.ts";
import { UsageError } from "./command.ts";

/** An image on this machine and a path inside it. */
export interface ImagePath {
  readonly image: string;
  /** Absolute, from the root of the image. */
  readonly path: string;
  /** As it was typed. */
  readonly word: string;
}

/** Other schemes, misspelt ones, and QEMU's old way: `nbd:localhost:10809`, `nbd:unix:/s`. */
const OTHER_URI = /^(?:[a-z][a-z0-9+]*:\/\/|nbds?(?:\+[a-z]+)?:)/iu;

/** What stands at a path of this machine. */
type Kind = "file" | "directory" | "nothing";

/**
 * Splits a word, looking at which files exist.
 * @throws UsageError for `-` and an empty word, ENOENT and EISDIR naming the file
 */
export function splitImagePath(word: string, kindOf: (path: string) => Kind = look): ImagePath {
  if (word === "") throw new UsageError("an image's name is empty");
  if (word === "-") {
    throw new UsageError("an image is read here and there, so it cannot come from standard input");
  }
  if (isNbdUri(word)) return splitUri(word);
  let directory: string | undefined;
  for (let end = word.length; end > 0; end = word.lastIndexOf(":", end - 1)) {
    const image = word.slice(0, end);
    const kind = kindOf(image);
    if (kind === "file") return { image, path: absolute(word.slice(end + 1)), word };
    if (kind === "directory") directory ??= image;
  }
  if (directory !== undefined) {
    throw new DaxError("EISDIR", {
      syscall: "open",
      path: directory,
      detail: "name the file that holds the filesystem",
    });
  }
  if (OTHER_URI.test(word)) {
    const detail = "neither a file nor a URI known here; those of exports begin with nbd://HOST/";
    throw new DaxError("ENOENT", {
      syscall: "open",
      path: word,
      detail: `${detail} or nbd+unix:///`,
    });
  }
  const cut = word.indexOf(":/") > 0 ? word.indexOf(":/") : word.length;
  const path = word.slice(0, cut);
  throw new DaxError("ENOENT", { syscall: "open", path, ...belowFile(path, kindOf) });
}

/** `disk.img/etc` for `disk.img:/etc`: a slash where the colon belongs. */
function belowFile(path: string, kindOf: (path: string) => Kind): { readonly detail?: string } {
  for (let end = path.indexOf("/", 1); end > 0; end = path.indexOf("/", end + 1)) {
    const image = path.slice(0, end);
    const kind = kindOf(image);
    if (kind === "file") return { detail: `did you mean ${image}:${path.slice(end)}?` };
    if (kind === "nothing") break;
  }
  return {};
}

/** `nbd://host:10809/export:/path`; a `:/` that belongs to the URI itself is written `%3A/`. */
function splitUri(word: string): ImagePath {
  const from = word.indexOf("://") + 3;
  const cut = word.indexOf(":/", from);
  if (cut !== -1) return { image: word.slice(0, cut), path: word.slice(cut + 1), word };
  const image = word.endsWith(":") ? word.slice(0, -1) : word;
  return { image, path: "/", word };
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `/${path}`;
}

function look(path: string): Kind {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) return "nothing";
    return found.isDirectory() ? "directory" : "file";
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // `a.img:/x` is below a file, and no name of this machine is that long: go on looking.
    if (code === "ENOTDIR" || code === "ENAMETOOLONG") return "nothing";
    throw error;
  }
}
