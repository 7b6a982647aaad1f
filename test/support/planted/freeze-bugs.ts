/** Filesystems that are frozen, and change all the same. */
import type { PlantedBug } from "./bug.ts";

export const freezeBugs: readonly PlantedBug[] = [
  {
    name: "stores go on while it is frozen",
    class: "freeze and mappings",
    what: "pages that were mapped to be written stay so when the filesystem is frozen",
    seen: "DAX in Linux until 4.5 (Jan Kara, October 2015): a snapshot had half of what was stored",
    story: "freeze: a snapshot is not torn by stores through a mapping",
    patches: [
      {
        file: "src/dax/writeback.ts",
        snippet: "  space.protect(index, pages);\n",
        replacement: "",
      },
    ],
  },
  {
    name: "frozen before what was stored",
    class: "freeze and mappings",
    what: "freezing brings metadata to its place, and leaves mapped stores in the cache",
    seen: "freeze_super ahead of dirty tracking of DAX mappings (Linux 4.0 to 4.4)",
    story: "freeze: what was stored through a mapping",
    patches: [
      {
        file: "src/vfs/freezing.ts",
        snippet: "    for (const space of spaces) space.standStill(strategy);\n",
        replacement: "",
      },
    ],
  },
];
