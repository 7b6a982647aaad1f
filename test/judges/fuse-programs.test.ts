/**
 * Programs that people use, on a mount: whatever they do, e2fsck finds nothing afterwards, and the
 * kernel's own driver sees the same tree.
 */
import { BUILD } from "../../scripts/judges/build.ts";
import { GIT } from "../../scripts/judges/git.ts";
import { NPM } from "../../scripts/judges/npm-ci.ts";
import { POSTGRES } from "../../scripts/judges/postgres.ts";
import { RSYNC } from "../../scripts/judges/rsync.ts";
import { SQLITE } from "../../scripts/judges/sqlite.ts";
import { judged } from "./fuse-place.ts";

judged(GIT, "ext4", { install: "apt-get install git" });
judged(SQLITE, "ext4-large-inodes", { install: "apt-get install python3" });
judged(POSTGRES, "ext4", { install: "apt-get install postgresql-15" });
judged(NPM, "ext4-1k", { install: "apt-get install npm coreutils findutils" });
judged(RSYNC, "ext4", { install: "apt-get install rsync acl python3" });
judged(RSYNC, "ext2-1k", { install: "apt-get install rsync acl python3" });
judged(BUILD, "inline", { install: "apt-get install make gcc libc6-dev diffutils" });
