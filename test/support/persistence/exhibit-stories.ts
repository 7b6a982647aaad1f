/** Exhibits: what they show is what they count, so that nothing of it may be left out. */
import { isSettled } from "../../../src/cli/exhibits/exhibit.ts";
import { EXHIBITS } from "../../../src/cli/exhibits/exhibits.ts";
import type { Story } from "./story.ts";

export const stories: readonly Story[] = EXHIBITS.map((exhibit) => ({
  name: `exhibit: ${exhibit.name}`,
  run: () => {
    const acted = exhibit.run();
    return isSettled(acted) ? undefined : JSON.stringify(acted.figures);
  },
}));
