/**
 * The command table: the one place where a command is added.
 *
 * @module
 */
import type { Command } from "./command.ts";
import { completion } from "./commands/completion.ts";
import { man } from "./commands/man.ts";

/** Every command, in the order of help. */
export const commands: readonly Command[] = [completion, man];
