#!/usr/bin/env node
/**
 * `mount.fuse.daxkit`, which mount(8) looks for in /sbin.
 *
 * @module
 */
import { mountHelper } from "./mount-helper.ts";
import { descriptorOutput } from "./output.ts";
import { Terminal } from "./terminal.ts";

const terminal = new Terminal(descriptorOutput(1), descriptorOutput(2));
terminal.label = "mount.fuse.daxkit";
process.exit(await mountHelper(process.argv.slice(2), (text) => terminal.message(text)));
