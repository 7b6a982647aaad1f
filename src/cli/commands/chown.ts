/**
 * `daxkit chown`.
 *
 * @module
 */
import { changeOwner } from "../../vfs/attribute-changes.ts";
import { type ChangedFile, SAYING_OPTIONS, changeAttributes } from "../change-attributes.ts";
import { CHANGE_STATUSES, type Changes } from "../changes.ts";
import { UsageError, command } from "../command.ts";
import { IMAGE_EXCLUSIVE } from "../images.ts";
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
    ...SAYING_OPTIONS,
  },
  exclusive: IMAGE_EXCLUSIVE,
  statuses: CHANGE_STATUSES,
  examples: [
    { line: "daxkit chown 1000:1000 disk.img:/home/ada", text: "sets user and group" },
    { line: "daxkit chown -R www-data: disk.img:/srv/www", text: "gives a tree to a user" },
  ],
  run(invocation) {
    const { values } = invocation;
    const from = values.from === undefined ? {} : parseOwner(values.from);
    const names = new OwnerNames();
    return changeAttributes<Owner>(invocation, {
      syscall: "chown",
      follow: !values["no-dereference"] && !values.recursive,
      parse: parseOwner,
      take: (inode) => inode.attributes(),
      apply(file, owner, changes) {
        apply(file, { owner, from, all: values.verbose, names }, changes);
      },
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

function apply({ inode, word, image }: ChangedFile, wish: Wish, changes: Changes): void {
  const { owner, from, all, names } = wish;
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
