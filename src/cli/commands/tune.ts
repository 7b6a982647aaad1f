/**
 * `daxkit tune`.
 *
 * @module
 */
import type { TuneSummary } from "../../fs/ext/tune-summary.ts";
import { parseTuneList } from "../../fs/ext/tune-lists.ts";
import type { TuneExtOptions } from "../../fs/ext/tune-options.ts";
import { isDaxError } from "../../lib/errno.ts";
import { encodeUtf8 } from "../../lib/utf8.ts";
import { type Invocation, STATUS_OK, UsageError, command } from "../command.ts";
import { environmentOf } from "../environment.ts";
import { splitImagePath } from "../image-path.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS } from "../images.ts";
import { shownName } from "../names.ts";
import { OwnerNames, OwnerNumbers } from "../owners.ts";
import { checkDate, checkInterval, mountCount } from "../tune-words.ts";

/** Bytes that the superblock has for it. */
const LONGEST_LABEL = 16;

const OPTIONS = {
  label: {
    type: "text",
    short: "L",
    value: "NAME",
    empty: true,
    text: "the name of the filesystem, up to 16 bytes; '' for none",
  },
  uuid: { type: "text", short: "U", value: "UUID", text: "a uuid, or clear, random, time" },
  features: {
    type: "text",
    short: "O",
    value: "LIST",
    many: true,
    text: "features; ^ takes one away",
  },
  extended: {
    type: "text",
    short: "E",
    value: "LIST",
    many: true,
    text: "stride=N, stripe_width=N, hash_alg=NAME, mount_opts=TEXT and others",
  },
  "mount-options": {
    type: "text",
    short: "o",
    value: "LIST",
    many: true,
    text: "default mount options; ^ takes one away",
  },
  "max-mounts": {
    type: "text",
    short: "c",
    value: "COUNT",
    text: "mounts between two checks; 0 or -1: never",
  },
  mounts: { type: "text", short: "C", value: "COUNT", text: "mounts since the last check" },
  interval: {
    type: "text",
    short: "i",
    value: "TIME",
    text: "time between two checks: 10d, 2w, 6m, 90s; 0: any",
  },
  "last-check": {
    type: "text",
    short: "T",
    value: "TIME",
    text: "when it was last checked: YYYYMMDD[HH[MM[SS]]] or now",
  },
  errors: {
    type: "choice",
    short: "e",
    value: "DO",
    choices: ["continue", "remount-ro", "panic"],
    text: "what the kernel does on damage",
  },
  reserved: {
    type: "text",
    short: "m",
    value: "PERCENT",
    text: "share of blocks that only root fills",
  },
  "reserved-blocks": {
    type: "count",
    short: "r",
    value: "COUNT",
    text: "how many blocks only root fills",
  },
  user: { type: "text", short: "u", value: "USER", text: "who may fill them as well" },
  group: { type: "text", short: "g", value: "GROUP", text: "whose group may" },
  "last-mounted": {
    type: "text",
    short: "M",
    value: "DIR",
    empty: true,
    text: "say that it was mounted there",
  },
  list: { type: "flag", short: "l", text: "print the superblock, after all changes" },
  force: { type: "flag", short: "f", text: "with -E clear_mmp, which takes a claim away" },
  ...IMAGE_OPTIONS,
} as const;

type TuneInvocation = Invocation<typeof OPTIONS>;

export const tune = command({
  name: "tune",
  summary: "change label, uuid and features of an ext filesystem",
  description: [
    "Takes tune2fs's letters and does what tune2fs 1.47 does, to the byte, as far as only the " +
      "superblock changes. Nobody may have the image mounted or open for writing meanwhile, and " +
      "a journal that has to be replayed is refused: 'daxkit sync IMAGE' replays it.",
    "Features that can be set: dir_index, fast_commit, stable_inodes, extent, flex_bg, ea_inode, " +
      "encrypt, metadata_csum_seed, large_dir, casefold, large_file, huge_file, dir_nlink, " +
      "extra_isize, read-only, verity; with ^: fast_commit, metadata_csum_seed, dir_nlink, " +
      "extra_isize, read-only. What would need blocks, a check, or all checksums anew is " +
      "refused by name.",
    "With metadata_csum every checksum begins with the uuid: -O metadata_csum_seed keeps the old " +
      "beginning, so that -U can change the uuid.",
  ],
  json: "document",
  operands: [{ name: "IMAGE", text: "an image, a block device or an NBD export" }],
  options: OPTIONS,
  exclusive: IMAGE_EXCLUSIVE,
  examples: [
    { line: "daxkit tune -L data disk.img", text: "gives the filesystem a name" },
    {
      line: "daxkit tune -O metadata_csum_seed -U random disk.img",
      text: "gives a copy of an image its own uuid",
    },
    { line: "daxkit tune -l disk.img", text: "prints the superblock as dumpe2fs -h does" },
  ],
  async run(invocation) {
    const { values, operands, json, out, terminal } = invocation;
    const { tuneVolume, readStoredSuperblock } = await import("../../node/tune-volume.ts");
    const { image, path } = splitImagePath(operands[0] ?? "");
    if (path !== "/") throw new UsageError(`'${image}': give the image without a path in it`);
    const environment = await environmentOf();
    const options = usage(() => optionsOf(values, environment.clock.now().sec));
    if (Object.keys(options).length === 0 && !values.list) {
      throw new UsageError("nothing to do: give a setting, or -l to print them");
    }
    const place = placeOf(values);
    const summary = usage(() =>
      Object.keys(options).length === 0
        ? undefined
        : tuneVolume(image, { ...options, ...place, environment, multiMount: { nodename, wait } }),
    );
    if (values.label !== undefined && encodeUtf8(values.label).length > LONGEST_LABEL) {
      terminal.message(`the label is too long, and cut to '${summary?.label}'`, "warning");
    }
    if (json) {
      out.json(
        record(image, summary, values.list ? readStoredSuperblock(image, place) : undefined),
      );
      return STATUS_OK;
    }
    for (const note of summary?.notes ?? []) out.line(shownName(out, note));
    if (!values.list) return STATUS_OK;
    const { superblockLines } = await import("../superblock-text.ts");
    const lines = superblockLines(readStoredSuperblock(image, place), new OwnerNames());
    for (const line of lines) out.line(shownName(out, line));
    return STATUS_OK;
  },
});

const nodename = "daxkit";

/** Somebody else's claim is watched for as long as he is given to show that he lives. */
function wait(seconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000);
}

function placeOf({ partition, offset }: TuneInvocation["values"]): {
  readonly partition?: number;
  readonly offset?: number;
} {
  return {
    ...(partition === undefined ? {} : { partition }),
    ...(offset === undefined ? {} : { offset }),
  };
}

/** What is wrong with the command line is a matter of usage, wherever it is noticed. */
function usage<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!isDaxError(error, "EINVAL") || error.syscall !== "tune" || error.path !== undefined) {
      throw error;
    }
    throw new UsageError(error.detail ?? error.message);
  }
}

function optionsOf(values: TuneInvocation["values"], now: number): TuneExtOptions {
  const extended = parseTuneList(values.extended.join(","));
  const features = [...values.features, ...(extended.features ? [extended.features] : [])];
  const owners = new OwnerNumbers();
  const plain: Partial<Record<keyof TuneExtOptions, unknown>> = {
    ...extended,
    label: values.label,
    uuid: values.uuid,
    lastMounted: values["last-mounted"],
    features: features.length > 0 ? features.join(",") : undefined,
    mountOptions:
      values["mount-options"].length > 0 ? values["mount-options"].join(",") : undefined,
    maxMounts: given(values["max-mounts"], (text) => mountCount(text, "-c")),
    mounts: given(values.mounts, (text) => mountCount(text, "-C")),
    checkInterval: given(values.interval, checkInterval),
    lastCheck: given(values["last-check"], (text) => checkDate(text, now)),
    errors: values.errors,
    reservedPercent: given(values.reserved, percent),
    reservedBlocks: values["reserved-blocks"],
    reservedUid: given(values.user, (text) => known(owners.user(text), "user", text)),
    reservedGid: given(values.group, (text) => known(owners.group(text), "group", text)),
    force: values.force ? true : undefined,
  };
  return Object.fromEntries(Object.entries(plain).filter(([, value]) => value !== undefined));
}

function given<T>(text: string | undefined, read: (text: string) => T): T | undefined {
  return text === undefined ? undefined : read(text);
}

function percent(text: string): number {
  if (/^\d+(\.\d*)?$/u.test(text) && Number(text) <= 50) return Number(text);
  throw new UsageError(`option '-m' is '${text}'; write a percentage from 0 to 50`);
}

function known(id: number | undefined, what: string, text: string): number {
  if (id !== undefined) return id;
  throw new UsageError(`there is no ${what} '${text}' here; write a name or a number`);
}

/** `--json`: what was changed, and all fields of the superblock with `-l`. */
function record(
  file: string,
  summary: TuneSummary | undefined,
  stored: Readonly<Record<string, unknown>> | undefined,
): object {
  const { notes: _, ...rest } = summary ?? { notes: [], changed: false };
  if (stored === undefined) return { file, ...rest };
  const superblock = Object.fromEntries(
    Object.entries(stored).map(([name, value]) => [
      name,
      value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value,
    ]),
  );
  return { file, ...rest, superblock };
}
