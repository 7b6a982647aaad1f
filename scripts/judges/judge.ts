/**
 * What a judge of a mounted filesystem is.
 */
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { MountKind } from "./mounts.ts";
import { which } from "./processes.ts";

export type Size = "small" | "full";

/** Where a judge works. */
export interface Place {
  /** A new folder on the filesystem that is judged. */
  readonly folder: string;
  /** A new folder elsewhere. */
  readonly scratch: string;
  /** What was made, of IMAGES. */
  readonly image: string;
  readonly size: Size;
  readonly seed: number;
  /** Checkouts and programs given by path (`--fsx PATH`), already built. */
  readonly given: Readonly<Record<string, string>>;
  /** A number that the command line may change (`--set NAME=N`). */
  readonly number: (name: string, small: number, full: number) => number;
  /** Kills what stands behind the mount, has the journal replayed and mounts again. */
  readonly crash: () => Promise<void>;
  /** Says how far it is. */
  readonly say: (line: string) => void;
}

/** What was counted and measured, by name. */
export type Figures = Readonly<Record<string, number | string>>;

export interface Judge {
  readonly name: string;
  readonly summary: string;
  /** MiB of the image. */
  readonly mib: Readonly<Record<Size, number>>;
  /** Programs that it cannot do without; a path may be given instead. */
  readonly programs: readonly string[];
  /** Whether it can judge such an image so mounted; it can unless it says so. */
  readonly fits?: (image: string, on: MountKind) => boolean;
  /** What else is missing here. */
  readonly absent?: () => string | undefined;
  /** The option by which a checkout must be given, and what that is. */
  readonly wants?: { readonly option: string; readonly what: string };
  /** Fails with `Failure`. */
  readonly run: (place: Place) => Promise<Figures>;
}

/** Why a judge cannot run here, or undefined. */
export function missing(judge: Judge, given: Place["given"]): string | undefined {
  const absent = judge.programs.filter((name) => which(name) === undefined);
  if (absent.length > 0) return `not installed: ${absent.join(", ")}`;
  const other = judge.absent?.();
  if (other !== undefined) return `not installed: ${other}`;
  const { wants } = judge;
  if (wants === undefined || given[wants.option] !== undefined) return undefined;
  return `wants --${wants.option} PATH: ${wants.what}`;
}

/** A new folder in `parent`. */
export function folderIn(parent: string, name: string): string {
  const path = join(parent, name);
  mkdirSync(path);
  return path;
}

/** A script that stands beside this one. */
export function beside(name: string): string {
  return resolve(import.meta.dirname, name);
}
