/**
 * A command's run, done again as it was written down: the same requests to a session over another
 * tree, with the same promises between them.
 *
 * @module
 */
import { FuseSession } from "../../../fuse/session.ts";
import type { FileTree } from "../../../vfs/file-tree.ts";
import type { Stage } from "../recording.ts";
import type { RecordedStep } from "./recorded-run.ts";

/** Asks again. Whatever calls are added beside that, numbers of nodes are the same. */
export function replaySteps(
  tree: FileTree,
  steps: readonly RecordedStep[],
  stage?: Pick<Stage, "log" | "ack">,
): void {
  const session = new FuseSession(tree);
  try {
    for (const step of steps) {
      if ("ack" in step) {
        stage?.ack(step.ack);
        continue;
      }
      const { frame, call } = step;
      const ask = (): void => {
        session.request.set(frame);
        session.answer(frame.length);
      };
      if (call === undefined || stage === undefined) ask();
      else stage.log.again(call, ask);
    }
  } finally {
    session.end();
  }
}
