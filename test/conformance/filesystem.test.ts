import { toyOf } from "../support/host-tree.ts";
import { conformsToFilesystem } from "./filesystem-cases.ts";

conformsToFilesystem("toy", (root) => ({ filesystem: toyOf(root) }));
