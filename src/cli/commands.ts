/**
 * The command table: the one place where a command is added.
 *
 * @module
 */
import type { Command } from "./command.ts";
import { chmod } from "./commands/chmod.ts";
import { chown } from "./commands/chown.ts";
import { fallocate } from "./commands/fallocate.ts";
import { getfattr } from "./commands/getfattr.ts";
import { ln } from "./commands/ln.ts";
import { mkdir } from "./commands/mkdir.ts";
import { mv } from "./commands/mv.ts";
import { put } from "./commands/put.ts";
import { rm } from "./commands/rm.ts";
import { setfattr } from "./commands/setfattr.ts";
import { sync } from "./commands/sync.ts";
import { touch } from "./commands/touch.ts";
import { truncate } from "./commands/truncate.ts";
import { cat } from "./commands/cat.ts";
import { check } from "./commands/check.ts";
import { completion } from "./commands/completion.ts";
import { cp } from "./commands/cp.ts";
import { df } from "./commands/df.ts";
import { extents } from "./commands/extents.ts";
import { fill } from "./commands/fill.ts";
import { iomem } from "./commands/iomem.ts";
import { list } from "./commands/list.ts";
import { ls } from "./commands/ls.ts";
import { man } from "./commands/man.ts";
import { mkfsExt2, mkfsExt3, mkfsExt4 } from "./commands/mkfs.ts";
import { nbd } from "./commands/nbd.ts";
import { nbdCheck } from "./commands/nbd-check.ts";
import { prove } from "./commands/prove.ts";
import { resize } from "./commands/resize.ts";
import { stat } from "./commands/stat.ts";
import { tar } from "./commands/tar.ts";
import { tour } from "./commands/tour.ts";
import { tree } from "./commands/tree.ts";
import { tune } from "./commands/tune.ts";
import { up } from "./commands/up.ts";

/** Every command, in the order of help. */
export const commands: readonly Command[] = [
  tour,
  up,
  nbd,
  nbdCheck,
  iomem,
  list,
  ls,
  tree,
  cat,
  stat,
  df,
  extents,
  cp,
  put,
  mkdir,
  rm,
  mv,
  ln,
  chmod,
  chown,
  touch,
  truncate,
  fallocate,
  setfattr,
  getfattr,
  sync,
  tar,
  fill,
  check,
  mkfsExt2,
  mkfsExt3,
  mkfsExt4,
  tune,
  resize,
  prove,
  completion,
  man,
];
