/**
 * The list that tune2fs takes with `-E`.
 *
 * @module
 */
import { parseUnsigned } from "../../lib/size.ts";
import { closest } from "../../lib/suggest.ts";
import { type HashName, type TuneExtOptions, refuse } from "./tune-options.ts";

type Mutable = { -readonly [K in keyof TuneExtOptions]: TuneExtOptions[K] };
/** Takes one item's value, undefined when it has none, and notes what it means. */
type Take = (options: Mutable, value: string | undefined, name: string) => void;

const HASHES: readonly HashName[] = ["legacy", "half_md4", "tea"];

function needed(value: string | undefined, name: string): string {
  if (value !== undefined && value !== "") return value;
  return refuse(`${name} needs a value: ${name}=…`);
}

const numeric =
  (key: "stride" | "stripeWidth" | "mmpUpdateInterval"): Take =>
  (options, value, name) => {
    const text = needed(value, name);
    const { value: number, next, digits } = parseUnsigned(text);
    const whole = digits && next === text.length && number < 2n ** 53n;
    if (!whole) refuse(`${name} is "${text.slice(0, 40)}"; write an unsigned number`);
    options[key] = Number(number);
  };

const flag =
  (key: "forceCheck" | "clearMultiMount" | "testFs", on: boolean): Take =>
  (options, value, name) => {
    if (value !== undefined) refuse(`${name} takes no value`);
    options[key] = on;
  };

const takeHash: Take = (options, value, name) => {
  const text = needed(value, name);
  const hash = HASHES.find((known) => known === text);
  if (hash === undefined) refuse(`${name} is "${text.slice(0, 40)}", not ${HASHES.join(", ")}`);
  options.hashAlgorithm = hash;
};

const takeEncoding: Take = (options, value, name) => {
  const text = needed(value, name);
  if (text === "utf8" || text === "utf8-12.1") {
    options.features = options.features === undefined ? "casefold" : `${options.features},casefold`;
    return;
  }
  refuse(`${name} "${text.slice(0, 40)}" is not known; write utf8 or utf8-12.1`);
};

const refused =
  (why: string): Take =>
  (_options, _value, name) =>
    refuse(`${name}: ${why}`);

const EXTENDED: Readonly<Record<string, Take>> = {
  stride: numeric("stride"),
  stripe_width: numeric("stripeWidth"),
  "stripe-width": numeric("stripeWidth"),
  mmp_update_interval: numeric("mmpUpdateInterval"),
  hash_alg: takeHash,
  mount_opts: (options, value) => void (options.mountOptionText = value ?? ""),
  test_fs: flag("testFs", true),
  "^test_fs": flag("testFs", false),
  force_fsck: flag("forceCheck", true),
  clear_mmp: flag("clearMultiMount", true),
  encoding: takeEncoding,
  encoding_flags: refused("names are as strict as they were made; mke2fs decides"),
  orphan_file_size: refused("an orphan file takes blocks, which are not moved here; use tune2fs"),
};

/** Reads the list of `-E`. @throws EINVAL for what is not known or makes no sense */
export function parseTuneList(list: string): TuneExtOptions {
  const options: Mutable = {};
  for (const item of list.split(",")) {
    if (item === "") continue;
    const equals = item.indexOf("=");
    const name = equals === -1 ? item : item.slice(0, equals);
    const take = Object.hasOwn(EXTENDED, name) ? EXTENDED[name] : undefined;
    if (take === undefined) {
      const known = Object.keys(EXTENDED);
      const near = closest(name, known);
      const hint = near === undefined ? `known are ${known.join(", ")}` : `did you mean ${near}?`;
      refuse(`extended option "${name.slice(0, 40)}" is not known; ${hint}`);
    }
    take(options, equals === -1 ? undefined : item.slice(equals + 1), name);
  }
  return options;
}
