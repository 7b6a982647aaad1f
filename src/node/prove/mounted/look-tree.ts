/**
 * What checks have looked at: a tree of looks, with a way for each content that was ever found
 * there. Walking it decides of a state no more than the checks have asked of states alike.
 *
 * A program of somebody else looks at things in another order each time, so that its order means
 * nothing: a run that found these contents and ended so would end so wherever they are found. A
 * walk follows the looks of the runs before it; what a run has looked at beyond them is added
 * behind. So every state has one way through the tree, whatever order runs come in.
 *
 * @module
 */
import type { RecordedStep } from "./recorded-run.ts";

/** Bytes that were looked at. */
export interface Look {
  readonly at: number;
  readonly length: number;
}

/** A look, and what follows from what is found. */
export interface LookFork extends Look {
  readonly ways: Map<string, LookNode>;
}

/** Where a run has ended: what it said, undefined for content. */
export interface LookEnd {
  readonly said: string | undefined;
  /** What a recovery did. */
  readonly steps?: readonly RecordedStep[] | undefined;
}

/** A place of the tree. */
export type LookNode = LookFork | LookEnd;

/** Where a walk has left the tree: a run on this state would tell how it goes on. */
export interface LookGap {
  /** The looks on the way, and what was found. */
  readonly looks: readonly Look[];
  /** Tells gaps apart. */
  readonly key: string;
  fill(node: LookNode): void;
}

/** Whether a place of the tree is an end. */
export function isEnd(node: LookNode): node is LookEnd {
  return !("ways" in node);
}

/** One tree for each list of promises: a check is told of them. */
export class LookTree {
  readonly #roots = new Map<string, LookNode>();
  readonly #numbers = new Map<LookNode, number>();

  /** Follows what `find` finds; to an end, or to where nobody has been. */
  walk(acked: readonly string[], find: (look: Look) => string): LookEnd | LookGap {
    const looks: Look[] = [];
    // Who met a fault may have promised as often, and something else; a promise is one line.
    const promises = acked.map((label) => `${label}\n`).join("");
    let node = this.#roots.get(promises);
    if (node === undefined) {
      const fill = (next: LookNode): void => void this.#roots.set(promises, next);
      return { looks, key: `root ${promises}`, fill };
    }
    while (!isEnd(node)) {
      const fork: LookFork = node;
      const found = find(fork);
      looks.push(fork);
      const next = fork.ways.get(found);
      if (next === undefined) {
        const fill = (added: LookNode): void => void fork.ways.set(found, added);
        return { looks, key: `${this.#numberOf(fork)} ${found}`, fill };
      }
      node = next;
    }
    return node;
  }

  #numberOf(node: LookNode): number {
    const number = this.#numbers.get(node) ?? this.#numbers.size;
    this.#numbers.set(node, number);
    return number;
  }
}

/** Looks one behind the other, and an end. */
export function chainOf(
  looks: readonly Look[],
  end: LookEnd,
  contentOf: (look: Look) => string,
): LookNode {
  return looks.reduceRight<LookNode>(
    (next, look) => ({ ...look, ways: new Map([[contentOf(look), next]]) }),
    end,
  );
}
