/** Applies a verdict's suggestion to the program itself, as a programmer would edit it. */
import { framesOf } from "../../src/lib/call-site.ts";
import type { Insertion, Mapping, Proof } from "../../src/crash/prove.ts";

/** The proof with every insertion made, each time the program comes to its place. */
export function patched<L, R>(proof: Proof<L, R>, insertions: readonly Insertion[]): Proof<L, R> {
  const changed: Proof<L, R> = {
    ...proof,
    workload: ({ mapping, ack }) =>
      proof.workload({ mapping: patchedMapping(mapping, insertions), ack }),
  };
  if (proof.recover === undefined) return changed;
  return {
    ...changed,
    recover: ({ mapping }) =>
      proof.recover?.({ mapping: patchedMapping(mapping, insertions) }) as R,
  };
}

type Call = (...args: unknown[]) => unknown;

function patchedMapping(mapping: Mapping, insertions: readonly Insertion[]): Mapping {
  return new Proxy(mapping, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        const result = (value as Call).apply(target, args);
        const frames = framesOf(new Error("who calls").stack ?? "");
        for (const { after, flush, fence } of insertions) {
          const { site } = after;
          const here = frames.some(
            ({ file, line, column }) =>
              file === site?.file && line === site.line && column === site.column,
          );
          if (!here) continue;
          if (flush !== undefined) target.flush(args[0] as number, lengthOf(String(key), args[1]));
          if (fence) target.fence();
        }
        return result;
      };
    },
  });
}

/** Bytes that a storing method of `Mapping` stores. */
function lengthOf(method: string, argument: unknown): number {
  if (argument instanceof Uint8Array) return argument.length;
  const bits = /^setU(\d+)$/u.exec(method)?.[1];
  return bits === undefined ? Number(argument) : Number(bits) / 8;
}
