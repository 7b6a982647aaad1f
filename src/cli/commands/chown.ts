/**
 * `daxkit chown`.
 *
 * @module
 */
import { changeOwner } from "../../vfs/attribute-changes.ts";
import type { Inode } from "../../vfs/filesystem.ts";
import { walkBelow } from "../below.ts";
import { CHANGE_STATUSES, type Changes, withChanges } from "../changes.ts";
import { UsageError, command } from "../command.ts";
import { IMAGE_EXCLUSIVE, IMAGE_OPTIONS } from "../images.ts";
import { OwnerNames, OwnerNumbers } from "../owners.ts";

export const chown = command({
  name: "chown",
  summary: "change owners of files in an image",
  description: [
    "OWNER is USER, USER:GROUP, USER: (with its login group) or :GROUP, by number or by a name " +
      "that this machine knows. Links are followed, unless with -h or -R, which change links " +
      "themselves.",
  ],
  json: "lines",
  operands: [
    { name: "OWNER", text: "user and group; none with --reference", complete: [] },
    { name: "IMAGE:PATH", text: "a file or directory", count: "any" },
  ],
  options: {
    recursive: { type: "flag", short: "R", text: "all that is below as well" },
    "no-dereference": { type: "flag", short: "h", text: "change links, not what they lead to" },
    from: { type: "text", value: "OWNER", text: "only files that belong to OWNER" },
    reference: { type: "text", value: "IMAGE:PATH", text: "take the owners of this file" },
    changes: { type: "flag", short: "c", text: "as -v, but only what changes" },
    silent: { type: "flag", short: "f", text: "say nothing of what cannot be done" },
    verbose: { type: "flag", short: "v", text: "print what becomes of each file" },
    ...IMAGE_OPTIONS,
  },
  exclusive: IMAGE_EXCLUSIVE,
  statuses: CHANGE_STATUSES,
  examples: [
    { line: "daxkit chown 1000:1000 disk.img:/home/ada", text: "sets user and group" },
    { line: "daxkit chown -R www-data: disk.img:/srv/www", text: "gives a tree to a user" },
  ],
  async run(invocation) {
    const { values, operands } = invocation;
    const { reference } = values;
    const words = reference === undefined ? operands.slice(1) : operands;
    if (words.length === 0) throw new UsageError("IMAGE:PATH is missing");
    const given = reference === undefined ? parseOwner(operands[0] ?? "") : undefined;
    const from = values.from === undefined ? {} : parseOwner(values.from);
    const names = new OwnerNames();
    return withChanges(invocation, (changes) => {
      changes.quiet = values.silent;
      changes.verbose = values.verbose || values.changes;
      const owner = given ?? ownerOf(changes, reference ?? "");
      const follow = !values["no-dereference"] && !values.recursive;
      const wish = { owner, from, all: values.verbose, names };
      changes.each(words, "cannot access", ({ tree, path, word, image }) => {
        const start = tree.locate(path, { syscall: "chown", follow });
        if (!values.recursive) {
          apply(start.inode, word, { ...wish, image }, changes);
          return;
        }
        const trouble = changes.trouble("cannot access");
        for (const { location, word: where, leaving } of walkBelow(tree, start, word, trouble)) {
          if (!leaving) apply(location.inode, where, { ...wish, image }, changes);
        }
      });
    });
  },
});

/** A user, a group, or both. */
interface Owner {
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** As they were written. */
  readonly user?: string | undefined;
  readonly group?: string | undefined;
}

interface Wish {
  readonly owner: Owner;
  readonly from: Owner;
  readonly all: boolean;
  readonly names: OwnerNames;
  readonly image: string;
}

/** @throws UsageError */
function parseOwner(text: string): Owner {
  const numbers = new OwnerNumbers();
  const colon = text.indexOf(":");
  const [user, group] = colon === -1 ? [text] : [text.slice(0, colon), text.slice(colon + 1)];
  const uid = user === "" ? undefined : numbers.user(user);
  if (user !== "" && uid === undefined) throw new UsageError(`invalid user: '${text}'`);
  if (group === undefined) return { uid, user };
  if (group === "" && user === "") return {};
  const gid = group === "" ? numbers.loginGroup(user) : numbers.group(group);
  const shown = { user: user || undefined, group: group || new OwnerNames().group(gid ?? 0) };
  if (gid !== undefined) return { uid, gid, ...shown };
  throw new UsageError(group === "" ? `invalid spec: '${text}'` : `invalid group: '${text}'`);
}

function ownerOf(changes: Changes, word: string): Owner {
  const { tree, path } = changes.openToRead(word);
  return tree.stat(path).attributes();
}

function apply(inode: Inode, word: string, wish: Wish, changes: Changes): void {
  const { owner, from, all, names, image } = wish;
  changes.attempt(`changing ownership of '${word}'`, () => {
    const before = inode.attributes();
    if (!fits(before.uid, from.uid) || !fits(before.gid, from.gid)) return;
    changeOwner(inode, owner.uid, owner.gid);
    const { uid = before.uid, gid = before.gid } = owner;
    const same = uid === before.uid && gid === before.gid;
    if (same && !all) return;
    const text = same
      ? `ownership of '${word}' retained as ${pair(before, owner, names)}`
      : `changed ${owner.uid === undefined ? "group" : "ownership"} of '${word}' ` +
        `from ${pair(before, owner, names)} to ${pair({ uid, gid }, owner)}`;
    changes.tell(text, { image, path: word.slice(image.length + 1), change: "owner", uid, gid });
  });
}

function fits(own: number, wanted: number | undefined): boolean {
  return wanted === undefined || own === wanted;
}

/** `user:group`, of those that are spoken of; as they were written without `names`. */
function pair(
  { uid, gid }: { readonly uid: number; readonly gid: number },
  owner: Owner,
  names?: OwnerNames,
): string {
  const user = names?.user(uid) ?? owner.user ?? new OwnerNames().user(uid);
  const group = names?.group(gid) ?? owner.group ?? new OwnerNames().group(gid);
  if (owner.gid === undefined) return user;
  return owner.uid === undefined ? group : `${user}:${group}`;
}
