/** The corpus: known ways to lose data, each found by a story, none of them in our sources. */
import type { PlantedBug } from "./bug.ts";
import { dataBugs } from "./data-bugs.ts";
import { freezeBugs } from "./freeze-bugs.ts";
import { journalBugs } from "./journal-bugs.ts";
import { mappedBugs } from "./mapped-bugs.ts";
import { memoryBugs } from "./memory-bugs.ts";
import { nameBugs } from "./name-bugs.ts";

/** All of them. */
export const BUGS: readonly PlantedBug[] = [
  ...journalBugs,
  ...nameBugs,
  ...dataBugs,
  ...memoryBugs,
  ...mappedBugs,
  ...freezeBugs,
];
