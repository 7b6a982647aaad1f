/** What programs do with an `fs` beyond single calls: descriptors, handles, streams, iterables. */
import type { FolderBody } from "./facade-body.ts";
import { descriptorBodies } from "./facade-descriptor-bodies.ts";
import { promiseBodies } from "./facade-promise-bodies.ts";
import { streamBodies } from "./facade-stream-bodies.ts";
import { treeBodies } from "./facade-tree-bodies.ts";

/** All of them. */
export const bodies: Readonly<Record<string, FolderBody>> = {
  ...descriptorBodies,
  ...promiseBodies,
  ...streamBodies,
  ...treeBodies,
};
