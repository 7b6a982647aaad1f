/**
 * All judges of a mounted filesystem.
 */
import { BUILD } from "./build.ts";
import { CALLS, STORM } from "./calls.ts";
import { CRASH } from "./crash.ts";
import { FILE_MODEL } from "./file-model.ts";
import { FSSTRESS } from "./fsstress.ts";
import { FSX } from "./fsx.ts";
import { GIT } from "./git.ts";
import type { Judge } from "./judge.ts";
import { NPM } from "./npm-ci.ts";
import { PJDFSTEST } from "./pjdfstest.ts";
import { POSTGRES } from "./postgres.ts";
import { RSYNC } from "./rsync.ts";
import { SQLITE } from "./sqlite.ts";

export const JUDGES: readonly Judge[] = [
  PJDFSTEST,
  FSX,
  FSSTRESS,
  FILE_MODEL,
  CALLS,
  STORM,
  CRASH,
  GIT,
  SQLITE,
  POSTGRES,
  NPM,
  RSYNC,
  BUILD,
];
