/**
 * What `mkfs.ext2`, `mkfs.ext3` and `mkfs.ext4` share: mke2fs's letters, and what they mean.
 *
 * @module
 */
import { readSync, statSync } from "node:fs";
import type * as extendedModule from "../fs/ext/mkfs-extended.ts";
import type { ExtSummary } from "../fs/ext/mkfs.ts";
import { CREATORS, type CreatorOs, type MakeExtOptions } from "../fs/ext/mkfs-options.ts";
import type { Environment } from "../lib/environment.ts";
import { isDaxError } from "../lib/errno.ts";
import { encodeUtf8 } from "../lib/utf8.ts";
import { isNbdUri } from "../nbd/uri.ts";
import type * as makingModule from "../node/make-image.ts";
import type { MakeVolumeOptions } from "../node/make-image.ts";
import type { OpenTarTree } from "../node/tar-tree.ts";
import { type Command, type Invocation, STATUS_OK, UsageError, command } from "./command.ts";
import { environmentOf } from "./environment.ts";
import { shownName } from "./names.ts";
import type { Output } from "./output.ts";

/** Bytes that the superblock has for it. */
const LONGEST_LABEL = 16;

const OPTIONS = {
  type: {
    type: "choice",
    short: "t",
    value: "TYPE",
    choices: ["ext2", "ext3", "ext4"],
    text: "make this type, not that of the command's name",
  },
  usage: {
    type: "text",
    short: "T",
    value: "USES",
    many: true,
    text: "profiles such as small, news, largefile",
  },
  "block-size": {
    type: "text",
    short: "b",
    value: "BYTES",
    text: "1024 to 65536; -BYTES: at least",
  },
  "cluster-size": {
    type: "size",
    short: "C",
    value: "BYTES",
    text: "bytes of a cluster, with bigalloc",
  },
  "inode-size": {
    type: "count",
    short: "I",
    value: "BYTES",
    text: "128 to a block; 256 by default",
  },
  inodes: {
    type: "count",
    short: "N",
    value: "COUNT",
    text: "about so many inodes: groups get the same",
  },
  "inode-ratio": {
    type: "size",
    short: "i",
    value: "BYTES",
    text: "an inode for each BYTES of space",
  },
  reserved: {
    type: "text",
    short: "m",
    value: "PERCENT",
    text: "blocks that only root fills; 5 by default",
  },
  label: {
    type: "text",
    short: "L",
    value: "NAME",
    text: "the name of the filesystem, up to 16 bytes",
  },
  uuid: { type: "text", short: "U", value: "UUID", text: "a uuid, or clear, random, time" },
  "last-mounted": { type: "text", short: "M", value: "DIR", text: "say that it was mounted there" },
  features: {
    type: "text",
    short: "O",
    value: "LIST",
    many: true,
    text: "features; ^ takes one away, none all",
  },
  extended: {
    type: "text",
    short: "E",
    value: "LIST",
    many: true,
    text: "extended options, such as stride=N",
  },
  journal: {
    type: "text",
    short: "J",
    value: "LIST",
    many: true,
    text: "size=MIB, location=BLOCKS",
  },
  "with-journal": { type: "flag", short: "j", text: "make a journal, whatever the type" },
  errors: {
    type: "choice",
    short: "e",
    value: "DO",
    choices: ["continue", "remount-ro", "panic"],
    text: "what the kernel does on damage",
  },
  revision: { type: "count", short: "r", value: "0|1", text: "0 makes one without features" },
  "creator-os": { type: "text", short: "o", value: "OS", text: "linux, freebsd or lites" },
  "group-size": { type: "count", short: "g", value: "BLOCKS", text: "blocks in a group" },
  "flex-groups": {
    type: "count",
    short: "G",
    value: "COUNT",
    text: "groups that keep metadata together",
  },
  directory: {
    type: "text",
    short: "d",
    value: "DIR|TAR",
    text: "fill it with a directory or a tar archive",
  },
  "dry-run": { type: "flag", short: "n", text: "show what would be made, and write nothing" },
  force: { type: "flag", short: "F", text: "overwrite what is there; allow large blocks" },
  quiet: { type: "flag", short: "q", text: "print nothing" },
  verbose: { type: "flag", short: "v", text: "print the sizes of everything" },
  partition: { type: "count", value: "N", text: "make it in partition N of a disk" },
  seed: {
    type: "count",
    value: "N",
    text: "take time and randomness from N: the same bytes again",
  },
} as const;

type MakeInvocation = Invocation<typeof OPTIONS>;
type Kind = "ext2" | "ext3" | "ext4";
type Making = typeof makingModule;

/** The command that makes one kind. */
export function makeCommand(kind: Kind): Command {
  return command({
    name: `mkfs.${kind}`,
    summary: `make an ${kind} filesystem in a file or on a device`,
    description: [
      "Takes mke2fs's letters and has its defaults, version 1.47's with Debian's profiles. " +
        "SIZE is a number of blocks (of 1 KiB unless -b is given), or bytes with K, M, G or T; a " +
        "file that is not there is made with that size, sparse, and a shorter one grows. An " +
        "ordinary file is emptied first, unless -E nodiscard says otherwise.",
      "What holds a filesystem or a partition table is not overwritten without -F; on a terminal " +
        "you are asked. Whoever is interrupted finds no filesystem rather than half of one.",
      "For persistent memory: -b 4096, as DAX needs blocks of a page (images below 512 MiB get " +
        "1024 without it). Groups are then 128 MiB long and start on multiples of 2 MiB, with " +
        "their tables at the start of each sixteenth, so that files of 2 MiB find aligned " +
        "places; -E packed_meta_blocks=1 moves all tables to the very start, -O bigalloc -C 2M " +
        "aligns every extent, and -E stride=512,stripe_width=512 tells Linux to allocate so.",
      "-d takes a directory, a tar archive, or - for an archive on standard input; gzip is " +
        "unpacked, and zstd where Node can. Owners, modes, times, links, devices, holes and " +
        "extended attributes come with it; members with '..' in their names are refused.",
      "Features that are made, for -O: docs/mkfs.md and any wrong one list them. Not made: " +
        "journals on other devices (-J device=), -c and -S.",
    ],
    json: "document",
    operands: [
      { name: "FILE", text: "a file, a block device or an NBD export" },
      { name: "SIZE", text: "blocks, or bytes with K, M, G or T", count: "optional", complete: [] },
    ],
    options: OPTIONS,
    examples: [
      { line: `daxkit mkfs.${kind} -b 4096 disk.img 1G`, text: "makes a sparse image" },
      { line: `daxkit mkfs.${kind} -F -L data -m 0 disk.img`, text: "makes it anew, with a label" },
      { line: `daxkit mkfs.${kind} -n disk.img 4G`, text: "shows what would be made" },
    ],
    async run(invocation) {
      return make(kind, invocation);
    },
  });
}

async function make(kind: Kind, invocation: MakeInvocation): Promise<number> {
  const { values, terminal } = invocation;
  const environment = await environmentOf(values.seed);
  const tree = await treeOf(values.directory, environment, (text) =>
    terminal.message(text, "warning"),
  );
  try {
    return await makeWith(
      kind,
      invocation,
      tree === undefined ? {} : { tree: tree.root },
      environment,
    );
  } finally {
    tree?.close();
  }
}

async function makeWith(
  kind: Kind,
  { values, operands, json, out, terminal }: MakeInvocation,
  tree: Pick<MakeVolumeOptions, "tree">,
  environment: Environment,
): Promise<number> {
  const [path = "", size] = operands;
  const [{ makeImage, planImage }, extended] = await Promise.all([
    makersOf(path),
    import("../fs/ext/mkfs-extended.ts"),
  ]);
  const summary = usage(() => {
    const sized = size === undefined ? {} : { size: extended.parseBlockCount(size, "SIZE") };
    const options: MakeVolumeOptions = {
      ...optionsOf(kind, values, extended),
      ...sized,
      ...tree,
      environment,
      mayOverwrite: (what) => !json && ask(`${path} holds ${what}. Overwrite it? (y,N) `, out),
    };
    return values["dry-run"] ? planImage(path, options) : makeImage(path, options);
  });
  if (values.label !== undefined && encodeUtf8(values.label).length > LONGEST_LABEL) {
    terminal.message(`the label is too long, and cut to '${summary.label}'`, "warning");
  }
  if (json) out.json({ file: path, made: !values["dry-run"], ...summary });
  else if (!values.quiet) show(path, summary, values, out);
  return STATUS_OK;
}

/** What makes a filesystem there; most of the time no server is spoken to. */
async function makersOf(path: string): Promise<Pick<Making, "makeImage" | "planImage">> {
  if (!isNbdUri(path)) return import("../node/make-image.ts");
  const { makeVolume, planVolume } = await import("../node/make-volume.ts");
  return { makeImage: makeVolume, planImage: planVolume };
}

/** With `-d`, what is in a directory or an archive. */
async function treeOf(
  source: string | undefined,
  environment: Environment,
  onWarning: (text: string) => void,
): Promise<Pick<OpenTarTree, "root" | "close"> | undefined> {
  if (source === undefined) return undefined;
  if (source !== "-" && statSync(source, { throwIfNoEntry: false })?.isDirectory() !== false) {
    // What is not there is that module's to say.
    const { hostTree } = await import("../node/host-tree.ts");
    return { root: hostTree(source), close: () => {} };
  }
  const { openTarTree } = await import("../node/tar-tree.ts");
  return openTarTree(source, { environment, onWarning });
}

/** What is wrong with the command line is a matter of usage, wherever it is noticed. */
function usage<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!isDaxError(error, "EINVAL") || error.syscall !== "mkfs") throw error;
    throw new UsageError(error.detail ?? error.message);
  }
}

/** `root_owner` alone means whoever runs this. */
function withOwner(list: string): string {
  const owner = `root_owner=${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;
  return list.replaceAll(/(^|,)root_owner(?=,|$)/gu, `$1${owner}`);
}

type Extended = typeof extendedModule;
type MakeValues = MakeInvocation["values"];

function optionsOf(kind: Kind, values: MakeValues, extended: Extended): MakeVolumeOptions {
  const { made, device } = extended.parseExtended(withOwner(values.extended.join(",")));
  const journal = values.journal.length > 0 ? extended.parseJournal(values.journal.join(",")) : {};
  const plain: Partial<Record<keyof MakeVolumeOptions, unknown>> = {
    type: values.type ?? kind,
    usage: values.usage.length > 0 ? values.usage.join(",").split(",") : undefined,
    blockSize: values["block-size"] === undefined ? undefined : blockSize(values["block-size"]),
    clusterSize: values["cluster-size"],
    inodeSize: values["inode-size"],
    inodes: values.inodes,
    inodeRatio: values["inode-ratio"],
    reservedPercent: values.reserved === undefined ? undefined : percent(values.reserved),
    label: values.label,
    uuid: values.uuid,
    lastMounted: values["last-mounted"],
    features: values.features.length > 0 ? values.features.join(",") : undefined,
    journal: values["with-journal"] || kind === "ext3" ? true : undefined,
    errors: values.errors,
    revision: values.revision === undefined ? undefined : revision(values.revision),
    creatorOs: values["creator-os"] === undefined ? undefined : creator(values["creator-os"]),
    blocksPerGroup: values["group-size"],
    flexGroups: values["flex-groups"],
    force: values.force,
    partition: values.partition,
  };
  const given = Object.fromEntries(
    Object.entries(plain).filter(([, value]) => value !== undefined),
  );
  return { ...(given as MakeExtOptions), ...made, ...journal, ...device };
}

function blockSize(text: string): number {
  const match = /^(-?)(\d{1,6})([kK]?)$/u.exec(text);
  if (match === null) throw new UsageError(`option '-b' is '${text}'; write bytes, such as 4096`);
  const [, sign, digits, kibi] = match;
  return Number(digits) * (kibi === "" ? 1 : 1024) * (sign === "" ? 1 : -1);
}

function percent(text: string): number {
  if (/^\d+(\.\d+)?$/u.test(text)) return Number(text);
  throw new UsageError(`option '-m' is '${text}'; write a percentage from 0 to 50`);
}

function creator(text: string): CreatorOs {
  const name = text.toLowerCase();
  for (const [known, number] of Object.entries(CREATORS)) {
    if (name === known || name === String(number)) return known as CreatorOs;
  }
  const hurd = name === "hurd" || name === "1" ? "; the Hurd's format is not made" : "";
  throw new UsageError(`option '-o' is '${text}'; known are linux, freebsd and lites${hurd}`);
}

function revision(value: number): 0 | 1 {
  if (value === 0 || value === 1) return value;
  throw new UsageError(`option '-r' is '${value}'; write 0 or 1`);
}

/** Asks only where somebody can answer. */
function ask(question: string, out: Output): boolean {
  if (!out.isTerminal || !process.stdin.isTTY) return false;
  out.text(question);
  out.flush();
  const answer = new Uint8Array(16);
  const length = readSync(0, answer);
  return length > 0 && /^y/iu.test(String.fromCharCode(answer[0] as number));
}

function show(path: string, made: ExtSummary, values: MakeValues, out: Output): void {
  const verb = values["dry-run"] ? "would make" : "made";
  const { type, blocks, blockSize: size, inodes, journalBlocks } = made;
  const journal = journalBlocks === 0 ? "no journal" : `a journal of ${journalBlocks} blocks`;
  out.line(`${shownName(out, path)}: ${verb} ${type} with ${blocks} blocks of ${size} bytes`);
  out.line(`  ${inodes} inodes, ${journal}, uuid ${made.uuid}`);
  if (!values.verbose) return;
  out.line(`  features: ${made.features.join(" ")}`);
  out.line(
    `  ${made.groups} groups of ${made.blocksPerGroup} blocks, ${made.inodesPerGroup} inodes each`,
  );
  out.line(`  ${made.freeBlocks} blocks free, ${made.reservedBlocks} of them reserved for root`);
  if (made.clusterSize !== size) out.line(`  clusters of ${made.clusterSize} bytes`);
  if (made.backups.length > 0) out.line(`  superblock backups: ${made.backups.join(", ")}`);
}
