/**
 * Call sites: where in somebody's program a store or a flush was asked for, read from the stack of
 * an `Error`. Costs about ten microseconds, so it is asked for only when it will be shown.
 *
 * @module
 */

/** One frame of a stack. `line` and `column` count from 1. */
export interface Frame {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Absent for code at the top of a module. */
  readonly function?: string;
}

/** The innermost frame that is not plumbing, and its callers up to the next plumbing frame. */
export interface CallSite extends Frame {
  readonly callers: readonly Frame[];
}

const V8 = /^\s*at (?:[a-z]+ (?=file:))?(?:(.*?) \()?(?:file:\/\/)?([^()]+?):(\d+):(\d+)\)?$/u;
const OTHERS = /^(.*?)@(?:file:\/\/)?(.+?):(\d+):(\d+)$/u;

/** The frames of `Error.stack`, innermost first; lines of no known form are left out. */
export function framesOf(stack: string): Frame[] {
  return stack.split("\n").flatMap((text) => {
    const match = V8.exec(text) ?? OTHERS.exec(text);
    if (match === null) return [];
    const [, name, file = "", line, column] = match;
    const frame = { file, line: Number(line), column: Number(column) };
    // Methods of object literals are "Object.append" to V8; the object says nothing.
    const plain = name?.replace(/^Object\./u, "") ?? "";
    return [plain === "" ? frame : { ...frame, function: plain }];
  });
}

/** The folder of all floors, ending in a slash: this file stands in `lib/`. */
const home = framesOf(new Error("where am I").stack ?? "")[0]?.file.replace(
  /lib\/call-site\.[jt]s$/u,
  "",
);

/** The path of a frame below that folder; undefined for everybody else's code. */
function atHome({ file }: Frame): string | undefined {
  return home !== undefined && file.startsWith(home) ? file.slice(home.length) : undefined;
}

/** Whether a frame only carries a store to the media: such frames are nobody's program. */
function isPlumbing(frame: Frame): boolean {
  return /^(lib|media|crash)\//u.test(atHome(frame) ?? "");
}

/** Whether a frame is of what runs a proof. */
function isHarness(frame: Frame): boolean {
  return isPlumbing(frame) || /^(cli\/|node\/watched-)/u.test(atHome(frame) ?? "");
}

/** Lines of `Error.stack` that speak of a program, neither of daxkit nor of Node. */
export function programLines(stack: string): string[] {
  return stack.split("\n").filter((line) => {
    const [frame] = framesOf(line);
    return frame !== undefined && atHome(frame) === undefined && !NODE.test(frame.file);
  });
}

/** The place in a program, neither of daxkit nor of Node, that is being asked for just now. */
export function programSite(): CallSite | undefined {
  const frames = framesOf(programLines(stackHere()).join("\n"));
  const [site, ...callers] = frames;
  return site === undefined ? undefined : { ...site, callers };
}

/** Modules of Node's, and scripts that its `vm` runs without a name. */
const NODE = /^(?:node:|evalmachine\.)/u;

/** The call site in `stack`, or `undefined` when all of it is plumbing. */
export function callSiteIn(stack: string): CallSite | undefined {
  const frames = framesOf(stack);
  const first = frames.findIndex((frame) => !isPlumbing(frame));
  const site = frames[first];
  if (site === undefined) return undefined;
  const rest = frames.slice(first + 1);
  const harness = rest.findIndex(isHarness);
  return { ...site, callers: harness === -1 ? rest : rest.slice(0, harness) };
}

/** Call sites by number: equal ones, callers included, share one. Zero means unknown. */
export class CallSites {
  readonly #sites: CallSite[] = [];
  readonly #places: number[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #byStack = new Map<string, number>();

  /** The number of the place that called the recorder just now. */
  here(): number {
    const stack = stackHere();
    const known = this.#byStack.get(stack);
    if (known !== undefined) return known;
    const site = callSiteIn(stack);
    const number = site === undefined ? 0 : this.#intern(site);
    this.#byStack.set(stack, number);
    return number;
  }

  /** The place with this number; undefined for zero. */
  get(number: number): CallSite | undefined {
    return this.#sites[number - 1];
  }

  /** The first number with the same innermost frame: the same place in the source. */
  placeOf(number: number): number {
    return this.#places[number - 1] ?? 0;
  }

  #intern(site: CallSite): number {
    const keys = [site, ...site.callers].map(keyOf);
    const key = keys.join("\n");
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#sites.push(site);
    this.#numbers.set(key, number);
    const first = this.#sites.findIndex((other) => keyOf(other) === keys[0]);
    this.#places.push(first + 1);
    return number;
  }
}

/** V8's limit of ten frames may not reach from the recorder to the program. */
const FRAMES = 40;

function stackHere(): string {
  const engine = Error as { stackTraceLimit?: number };
  const limit = engine.stackTraceLimit;
  engine.stackTraceLimit = FRAMES;
  const { stack } = new Error("call site");
  if (limit === undefined) delete engine.stackTraceLimit;
  else engine.stackTraceLimit = limit;
  return stack ?? "";
}

function keyOf({ file, line, column }: Frame): string {
  return `${file}:${line}:${column}`;
}
