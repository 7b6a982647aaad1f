#!/usr/bin/env node
/**
 * The `daxkit` command.
 *
 * @module
 */
process.stderr.write("usage: daxkit COMMAND\n");
process.exitCode = 2;
