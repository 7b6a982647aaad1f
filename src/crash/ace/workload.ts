/**
 * Workloads in the manner of ACE, the bounded generator of CrashMonkey (OSDI '18): a few calls on a
 * few files, with a persistence point after each or none. A workload is written as one line, which
 * reads back as the same workload.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";

/** Where in a file something is done: behind its end, over two blocks, or over its end. */
export type Where = "append" | "overlap" | "extend";
/** fallocate(2): `keep` leaves the size as it is, and so do `punch` and `zeroKeep`. */
export type Allocation = "allocate" | "keep" | "punch" | "zero" | "zeroKeep";

/** A call that changes something. Paths are absolute. */
export type Operation =
  | { readonly do: "creat" | "mkdir" | "unlink" | "rmdir"; readonly path: string }
  | { readonly do: "link" | "symlink" | "rename"; readonly path: string; readonly to: string }
  | { readonly do: "write" | "mmapwrite"; readonly path: string; readonly where: Where }
  | {
      readonly do: "falloc";
      readonly path: string;
      readonly mode: Allocation;
      readonly where: Where;
    }
  | { readonly do: "truncate"; readonly path: string; readonly to: "aligned" | "unaligned" }
  | { readonly do: "setxattr" | "removexattr"; readonly path: string };

/** A call after which something has to survive. `msync` is of a mapping that was stored to. */
export type Persistence =
  | { readonly do: "sync" }
  | { readonly do: "fsync" | "fdatasync" | "msync"; readonly path: string };

/** A step of a workload. */
export type Step = Operation | Persistence;

/** A workload. */
export interface Workload {
  /** Makes what the first calls need; all of it is durable before the workload starts. */
  readonly setup: readonly Operation[];
  readonly steps: readonly Step[];
}

/** What a call changes: directories whose entries do, and files by the names before or after it. */
export interface Concern {
  readonly directories: readonly string[];
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/** The path of the directory that holds a name. */
export function parentOf(path: string): string {
  const at = path.lastIndexOf("/");
  return at <= 0 ? "/" : path.slice(0, at);
}

/** What a call changes. */
export function concernOf(operation: Operation): Concern {
  const { path } = operation;
  switch (operation.do) {
    case "creat":
    case "mkdir":
      return { directories: [parentOf(path)], before: [], after: [path] };
    case "unlink":
    case "rmdir":
      return { directories: [parentOf(path)], before: [path], after: [] };
    case "link":
      return { directories: [parentOf(operation.to)], before: [], after: [path] };
    case "symlink":
      return { directories: [parentOf(operation.to)], before: [], after: [operation.to] };
    case "rename": {
      const { to } = operation;
      return { directories: [parentOf(path), parentOf(to)], before: [path, to], after: [] };
    }
    default:
      return { directories: [], before: [], after: [path] };
  }
}

const PERSISTENCE: ReadonlySet<string> = new Set(["sync", "fsync", "fdatasync", "msync"]);
const WHERE: ReadonlySet<string> = new Set<Where>(["append", "overlap", "extend"]);
const MODES: ReadonlySet<string> = new Set<Allocation>([
  "allocate",
  "keep",
  "punch",
  "zero",
  "zeroKeep",
]);
const LENGTHS: ReadonlySet<string> = new Set(["aligned", "unaligned"]);

/** Whether a step makes something durable, and changes nothing. */
export function isPersistence(step: Step): step is Persistence {
  return PERSISTENCE.has(step.do);
}

/** A step in words: `rename /foo /A/bar`. */
export function stepText(step: Step): string {
  return Object.values(step).join(" ");
}

/** A workload in one line: `mkdir /A, creat /foo | rename /foo /A/bar, fsync /A`. */
export function workloadText({ setup, steps }: Workload): string {
  const text = steps.map(stepText).join(", ");
  return setup.length === 0 ? text : `${setup.map(stepText).join(", ")} | ${text}`;
}

/** The workload that {@link workloadText} wrote. @throws EINVAL for what is none */
export function parseWorkload(text: string): Workload {
  const parts = text.split("|");
  if (parts.length > 2) throw refusal(text, "more than one |");
  const steps = stepsIn(parts.at(-1) ?? "");
  const setup = parts.length === 2 ? stepsIn(parts[0] ?? "") : [];
  const wrong = setup.find(isPersistence);
  if (wrong !== undefined) throw refusal(stepText(wrong), "setup only changes; all of it survives");
  return { setup: setup as readonly Operation[], steps };
}

function stepsIn(text: string): Step[] {
  return text
    .split(",")
    .map((step) => step.trim())
    .filter((step) => step !== "")
    .map(parseStep);
}

function parseStep(text: string): Step {
  const [name = "", ...given] = text.split(/\s+/u);
  const [path = "", second = "", third = ""] = given;
  const step = stepOf(name, path, second, third);
  if (step === undefined || stepText(step) !== [name, ...given].join(" ")) {
    throw refusal(text, "no step of a workload");
  }
  for (const one of [path, name === "rename" || name === "link" ? second : path]) {
    if (name !== "sync" && !/^(?:\/[\w.-]+)+$|^\/$/u.test(one)) throw refusal(text, "no path");
  }
  return step;
}

function stepOf(name: string, path: string, second: string, third: string): Step | undefined {
  switch (name) {
    case "sync":
      return { do: name };
    case "fsync":
    case "fdatasync":
    case "msync":
    case "creat":
    case "mkdir":
    case "unlink":
    case "rmdir":
    case "setxattr":
    case "removexattr":
      return { do: name, path };
    case "link":
    case "symlink":
    case "rename":
      return { do: name, path, to: second };
    case "write":
    case "mmapwrite":
      return WHERE.has(second) ? { do: name, path, where: second as Where } : undefined;
    case "falloc":
      if (!MODES.has(second) || !WHERE.has(third)) return undefined;
      return { do: name, path, mode: second as Allocation, where: third as Where };
    case "truncate":
      if (!LENGTHS.has(second)) return undefined;
      return { do: name, path, to: second as "aligned" | "unaligned" };
    default:
      return undefined;
  }
}

function refusal(value: string, why: string): DaxError {
  return new DaxError("EINVAL", { syscall: "workload", detail: `"${value}": ${why}` });
}
