/** Mapped devices: what is routed to too few legs. */
import type { PlantedBug } from "./bug.ts";

const ROUTING = "src/dm/dax-routing.ts";

export const mappedBugs: readonly PlantedBug[] = [
  {
    name: "a flush of the first leg only",
    class: "first-leg-only flush",
    what: "a flush over several legs is sent to the leg of its first page",
    seen: "dm_dax_flush, Linux 4.13; taken out in 4.14 (c3ca015fab6d)",
    story: "dm: dax of stripes",
    patches: [
      {
        file: ROUTING,
        snippet: "if (route?.flushed !== undefined) route.flushed(from, run);\n      at += run;",
        replacement:
          "if (route?.flushed !== undefined) route.flushed(from, run);\n      at = stop;",
      },
    ],
  },
  {
    name: "a disk's flush of the first leg only",
    class: "first-leg-only flush",
    what: "an empty flush is sent to one stripe, as if num_flush_bios were 1",
    seen: "targets that left num_flush_bios at its default (device-mapper, 3.x)",
    story: "dm: two targets",
    patches: [
      {
        file: "src/dm/mapped-device.ts",
        snippet: "for (const device of table.flushed) device.flush();",
        replacement: "table.flushed[0]?.flush();",
      },
    ],
  },
];
