/**
 * The half of `cp` that writes into an image.
 *
 * @module
 */
import { posix } from "node:path";
import { type ChangedPath, type Changes, lastName, withChanges } from "./changes.ts";
import type { Invocation } from "./command.ts";
import { destinations } from "./destinations.ts";
import { splitImagePath } from "./image-path.ts";
import { IMAGE_OPTIONS } from "./images.ts";
import type { CopySource } from "../node/image/copy-source.ts";

/** Whether a word names a path in an image, and not just a file. */
export function isInImage(word: string): boolean {
  try {
    return splitImagePath(word).image !== word;
  } catch {
    return false;
  }
}

const OPTIONS = {
  recursive: { type: "flag", text: "" },
  archive: { type: "flag", text: "" },
  "no-clobber": { type: "flag", text: "" },
  "no-target-directory": { type: "flag", text: "" },
  "no-dereference": { type: "flag", text: "" },
  "target-directory": { type: "text", value: "", text: "" },
  preserve: { type: "flag", text: "" },
  verbose: { type: "flag", text: "" },
  ...IMAGE_OPTIONS,
} as const;

type CopyInvocation = Invocation<typeof OPTIONS>;

/** Copies SOURCE... into the image of DEST. */
export async function copyIntoImage(invocation: CopyInvocation): Promise<number> {
  const { values, operands, terminal } = invocation;
  const [{ copyInto }, { hostSource, volumeSource }] = await Promise.all([
    import("../node/image/copy-in.ts"),
    import("../node/image/copy-source.ts"),
  ]);
  return withChanges(invocation, (changes) => {
    changes.verbose = values.verbose;
    const progress = terminal.progress("copying");
    const done = { files: 0, bytes: 0 };
    const show = (bytes: number): void => {
      progress.step(done.files, 0, `files, ${Math.floor((done.bytes + bytes) / 2 ** 20)} MiB`);
    };
    const follow = !values.recursive && !values["no-dereference"];
    const sourceOf = (word: string): CopySource => {
      if (!isInImage(word)) return hostSource(word, follow);
      const { tree, path, image } = changes.openToRead(word);
      return volumeSource(tree, path, follow, `${image}:${path}`);
    };
    try {
      // Of `-d` only ln makes something of DEST.
      const choices = { ...values, "no-dereference": false };
      for (const { source, target } of destinations(operands, choices, changes)) {
        changes.attempt(`cannot copy '${source}'`, () => {
          const to = target(nameOf(source));
          done.bytes += copyInto(to.tree, to.path, sourceOf(source), {
            recursive: values.recursive,
            keep: true,
            keepThere: values.preserve,
            xattrs: values.archive,
            noClobber: values["no-clobber"],
            onBytes: show,
            onFile(path, { shown }) {
              done.files++;
              show(0);
              tellCopied(changes, to, path, shown);
            },
            onTrouble: (path, error) =>
              changes.complain(`cannot copy to '${to.image}:${path}'`, error),
          });
        });
      }
    } finally {
      progress.finish();
    }
  });
}

function tellCopied(changes: Changes, { image }: ChangedPath, path: string, from: string): void {
  changes.tell(`'${from}' -> '${image}:${path}'`, { image, path, change: "copied", from });
}

/** The name under which a source goes into a directory. */
export function nameOf(word: string): string {
  if (isInImage(word)) return lastName(splitImagePath(word).path);
  // `dir/.` is what is in `dir`.
  return word.endsWith("/.") ? "." : posix.basename(word) || "/";
}
