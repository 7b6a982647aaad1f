/**
 * `dmsetup ls --tree`: what stands on what.
 *
 * @module
 */
import { numberText } from "./device-directory.ts";
import type { DeviceMapper } from "./device-mapper.ts";
import { legsOf } from "./info-fields.ts";
import type { MappedDevice } from "./mapped-device.ts";

/** A device in the tree, and what hangs on it. */
interface Node {
  readonly label: string;
  readonly children: readonly Node[];
}

/** What lines are drawn with. */
interface Strokes {
  readonly branch: string;
  readonly last: string;
  readonly down: string;
  readonly single: string;
  readonly first: string;
}

const ASCII: Strokes = { branch: "|-", last: "`-", down: "| ", single: "---", first: "-+-" };
const UTF8: Strokes = { branch: "├─", last: "└─", down: "│ ", single: "───", first: "─┬─" };

/** A terminal draws letters between these as lines. */
function drawn(letters: string): string {
  return `\u{1b}(0\u{f}${letters}\u{1b}(B`;
}

const VT100: Strokes = {
  branch: drawn("tq"),
  last: drawn("mq"),
  down: `${drawn("x")} `,
  single: drawn("qqq"),
  first: drawn("qwq"),
};

/** A device of a tree: a mapped one, or one below all of them. */
interface Place {
  readonly name: string;
  readonly number: string;
  /** The kernel makes the disk of a device with its first table. */
  readonly block: string | undefined;
  readonly mapped: MappedDevice | undefined;
}

/** The tree; `words` are those of `-o`. */
export function treeText(mapper: DeviceMapper, words: ReadonlySet<string>): string {
  const places = byName(mapper).map((device) => placeOf(device));
  if (places.length === 0) return "No devices found\n";
  const roots = words.has("inverted")
    ? inverted(places, words)
    : upright(places).map((root) => downwards(root, words));
  const strokes = words.has("utf") ? UTF8 : words.has("vt100") ? VT100 : ASCII;
  const draw = words.has("compact") ? compact : spread;
  return roots.map((root) => draw(root, strokes)).join("");
}

/** All devices in the order in which dmsetup lists them. */
export function byName(mapper: DeviceMapper): readonly MappedDevice[] {
  return mapper.devices.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function placeOf(device: MappedDevice): Place {
  const { name, number, loaded } = device;
  const block = loaded ? `dm-${number.minor}` : undefined;
  return { name, number: numberText(number), block, mapped: device };
}

/** Those on which nothing stands. */
function upright(places: readonly Place[]): readonly Place[] {
  const below = new Set(
    places.flatMap(({ mapped }) => (mapped === undefined ? [] : legsOf(mapped))).map(numberOf),
  );
  return places.filter(({ number }) => !below.has(number));
}

function numberOf({ number }: { readonly number: string }): string {
  return number;
}

function downwards(place: Place, words: ReadonlySet<string>): Node {
  const below = place.mapped === undefined ? [] : legsOf(place.mapped);
  return node(
    place,
    below.filter((leg) => isShown(leg, words)).map((leg) => downwards(leg, words)),
    words,
  );
}

/** From the devices that stand on nothing, upwards. */
function inverted(places: readonly Place[], words: ReadonlySet<string>): readonly Node[] {
  const roots = new Map<string, Place>();
  for (const place of places) {
    const legs = place.mapped === undefined ? [] : legsOf(place.mapped);
    if (legs.length === 0) roots.set(place.number, place);
    for (const leg of legs) if (leg.mapped === undefined) roots.set(leg.number, leg);
  }
  const upwards = (place: Place): Node => {
    const above = places.filter(({ mapped }) =>
      mapped === undefined ? false : legsOf(mapped).some(({ number }) => number === place.number),
    );
    return node(place, above.map(upwards), words);
  };
  return [...roots.values()].filter((root) => isShown(root, words)).map(upwards);
}

/** Without a number, one that has no name is nothing. */
function isShown({ mapped }: Place, words: ReadonlySet<string>): boolean {
  return mapped !== undefined || words.has("blkdevname") || !words.has("nodevice");
}

function node(place: Place, children: readonly Node[], words: ReadonlySet<string>): Node {
  const { mapped, block, number } = place;
  const name = mapped?.name ?? "";
  const blockText = words.has("blkdevname") && block !== undefined ? ` <${block}>` : "";
  const suffix = words.has("nodevice") ? "" : ` (${number})`;
  const states = mapped === undefined ? [] : statesOf(mapped, words);
  const state = states.length === 0 ? "" : ` [${states.join(", ")}]`;
  return { label: `${name}${blockText}${suffix}${state}`, children };
}

function statesOf(device: MappedDevice, words: ReadonlySet<string>): readonly string[] {
  const states: string[] = [];
  if (words.has("active")) states.push(device.suspended ? "SUSPENDED" : "ACTIVE");
  if (words.has("rw")) states.push(device.readOnly ? "RO" : "RW");
  if (words.has("open")) states.push(String(device.openCount));
  if (words.has("uuid")) states.push(device.uuid);
  return states;
}

/** Each on a line of its own. */
function spread(root: Node, strokes: Strokes): string {
  const below = ({ children }: Node, indent: string): string =>
    children
      .map((child, i) => {
        const isLast = i === children.length - 1;
        const under = `${indent} ${isLast ? "  " : strokes.down}`;
        const stroke = isLast ? strokes.last : strokes.branch;
        return `${indent} ${stroke}${child.label}\n${below(child, under)}`;
      })
      .join("");
  return `${root.label}\n${below(root, "")}`;
}

/** The first of each behind what it hangs on. */
function compact(root: Node, strokes: Strokes): string {
  const behind = ({ label, children }: Node, indent: string): string => {
    const [first, ...others] = children;
    if (first === undefined) return `${label}\n`;
    const under = `${indent}${" ".repeat(label.length + 1)}`;
    const stroke = others.length === 0 ? strokes.single : strokes.first;
    const after = others.length === 0 ? "  " : strokes.down;
    const lines = others.map((child, i) => {
      const isLast = i === others.length - 1;
      const [one, rest] = isLast ? [strokes.last, "  "] : [strokes.branch, strokes.down];
      return `${under}${one}${behind(child, `${under}${rest}`)}`;
    });
    return `${label}${stroke}${behind(first, `${under}${after}`)}${lines.join("")}`;
  };
  return behind(root, "");
}
