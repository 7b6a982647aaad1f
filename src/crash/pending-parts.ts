/**
 * What waits for a flush in units of several sectors, of which a FUA write may make one sector
 * durable and not the others.
 *
 * @module
 */

/** What was written to a part of a unit. */
export interface Part {
  /** Bytes of the unit. */
  readonly from: number;
  readonly length: number;
  /** Of the contents that the unit had then, which hold the part. */
  readonly number: number;
}

/** A unit that holds more than what is durable. */
export interface Pending {
  /** The number of what is; undefined where nobody knows, and then all of it is settled at once. */
  readonly durable: number | undefined;
  /** What was written since, in order. */
  readonly parts: readonly Part[];
}

/** What of a unit may be lost although a part of it is durable. */
export interface Rest extends Pending {
  readonly durable: number;
}

/** See the module. */
export class PendingParts {
  /** Of those that are kept, `parts` grow. */
  #units = new Map<number, { durable: number | undefined; parts: Part[] }>();

  /** All that what is done next depends on, as text. */
  get key(): string {
    let key = "";
    for (const [unit, { durable = "", parts }] of this.#units) {
      key += ` ${unit}:${durable}`;
      for (const { from, length, number } of parts) key += `,${from}+${length}=${number}`;
    }
    return key;
  }

  /** Everything, to be given to {@link restore}. */
  get all(): readonly (readonly [unit: number, pending: Pending])[] {
    return copied(this.#units);
  }

  restore(all: PendingParts["all"]): void {
    this.#units = new Map(copied(all));
  }

  has(unit: number): boolean {
    return this.#units.has(unit);
  }

  /** `durable` is asked for the first part of a unit. */
  add(unit: number, durable: number | undefined, part: Part): void {
    const pending = this.#units.get(unit);
    if (pending === undefined) this.#units.set(unit, { durable, parts: [part] });
    else pending.parts.push(part);
  }

  /** All of it is durable. */
  settle(unit: number): void {
    this.#units.delete(unit);
  }

  /** What may still be lost when a range is durable, if there is something. */
  besides(unit: number, from: number, length: number): Rest | undefined {
    const { durable, parts = [] } = this.#units.get(unit) ?? {};
    if (durable === undefined) return undefined;
    const left = parts.flatMap((part) => outside(part, from, from + length));
    return left.length === 0 ? undefined : { durable, parts: left };
  }

  /** A range became durable: this is left. */
  keep(unit: number, { durable, parts }: Rest): void {
    this.#units.set(unit, { durable, parts: [...parts] });
  }
}

function copied(
  units: Iterable<readonly [unit: number, pending: Pending]>,
): [number, { durable: number | undefined; parts: Part[] }][] {
  return Array.from(units, ([unit, { durable, parts }]) => [unit, { durable, parts: [...parts] }]);
}

/** What of a part lies before `from` and from `to` on. */
function outside(part: Part, from: number, to: number): Part[] {
  const stop = part.from + part.length;
  const left: Part[] = [];
  if (part.from < from) left.push({ ...part, length: Math.min(stop, from) - part.from });
  if (stop > to) {
    const start = Math.max(part.from, to);
    left.push({ ...part, from: start, length: stop - start });
  }
  return left;
}
