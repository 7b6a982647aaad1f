#!/usr/bin/env node
/**
 * `umount.fuse.daxkit`, which umount(8) looks for in /sbin.
 *
 * @module
 */
import { umountHelper } from "./mount-helper.ts";
import { descriptorOutput } from "./output.ts";
import { Terminal } from "./terminal.ts";

const terminal = new Terminal(descriptorOutput(1), descriptorOutput(2));
terminal.label = "umount.fuse.daxkit";
process.exit(await umountHelper(process.argv.slice(2), (text) => terminal.message(text)));
