/**
 * Streams over a facade: Node's own classes, which take an `fs`.
 *
 * @module
 */
import * as fs from "node:fs";
import { isHandle, throughHandle } from "./file-handle.ts";

type Maker = new (path: unknown, options: unknown) => object;

/** The options of a stream, with the calls that it is to make. */
function withCalls(facade: object, given: unknown): unknown {
  const odd = given !== undefined && given !== null && typeof given !== "object";
  // Node knows what to say.
  if (odd && typeof given !== "string") return given;
  const options = typeof given === "string" ? { encoding: given } : { ...given };
  const { fd } = options as { fd?: unknown };
  return isHandle(fd) ? throughHandle(fd, options) : { fs: facade, ...options };
}

/**
 * A class whose objects are those of Node's, and which can be called without `new`, subclassed, and
 * applied to an object that is being made, as the older way to subclass does.
 */
function classOver(like: Maker, facade: object): object {
  const made = function made(this: unknown, path: unknown, given: unknown): object {
    const options = withCalls(facade, given);
    if (new.target !== undefined) return Reflect.construct(like, [path, options], new.target);
    if (!(this instanceof like)) return new like(path, options);
    Reflect.apply(like as unknown as () => void, this, [path, options]);
    return this;
  };
  // Whatever asks `instanceof` means the streams of Node, which these are.
  return Object.defineProperty(made, "prototype", { value: like.prototype, writable: true });
}

/** The streams of a facade, by their names in `node:fs`. */
export function streamsOf(facade: object): Record<string, unknown> {
  const readable = fs.ReadStream as unknown as Maker;
  const writable = fs.WriteStream as unknown as Maker;
  return {
    ReadStream: classOver(readable, facade),
    WriteStream: classOver(writable, facade),
    createReadStream: (path: unknown, options: unknown) =>
      new readable(path, withCalls(facade, options)),
    createWriteStream: (path: unknown, options: unknown) =>
      new writable(path, withCalls(facade, options)),
  };
}
