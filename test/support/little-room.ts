/**
 * Journals that have little room for each handle.
 */
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import type { Journal } from "../../src/fs/ext/journal.ts";

/** From now on a handle may extend itself twice: long changes take many transactions. */
export function tighten({ writing }: ExtFilesystem): void {
  const journal = writing?.journal as Journal;
  const [start, extend] = [journal.start.bind(journal), journal.extend.bind(journal)];
  let left = 0;
  Object.assign(journal, {
    start: (copies: number, revokes?: number) => {
      left = 2;
      return start(copies, revokes);
    },
    extend: (copies: number, revokes: number) => left-- > 0 && extend(copies, revokes),
  });
}
