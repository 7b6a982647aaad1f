/**
 * Random work on a mount: one file against a model, system calls against the kernel's own driver,
 * several processes at once, and the end of the process behind it.
 */
import { CALLS, STORM } from "../../scripts/judges/calls.ts";
import { CRASH } from "../../scripts/judges/crash.ts";
import { FILE_MODEL } from "../../scripts/judges/file-model.ts";
import { judged } from "./fuse-place.ts";

const install = "apt-get install python3";

judged(FILE_MODEL, "ext4", { install, numbers: { operations: 800 } });
judged(FILE_MODEL, "inline", { install, numbers: { operations: 800 } });
judged(FILE_MODEL, "ext2-1k", { install, numbers: { operations: 800, seeds: 2 } });
judged(CALLS, "ext4", { install, numbers: { calls: 1500 } });
judged(CALLS, "ext4-large-inodes", { install, numbers: { calls: 1500 } });
judged(STORM, "ext4-1k", { install, numbers: { calls: 4000 } });
judged(CRASH, "ext4", { install });
