/**
 * One exploration in a process that has done nothing before: what a user's first proof costs.
 *   tsx bench/prove-cold.ts NAME
 */
import { SPACES, explored } from "./prove-subjects.ts";

const name = process.argv[2] as keyof typeof SPACES;
const { leaves, states, ms } = await explored(SPACES[name]);
process.stdout.write(JSON.stringify({ leaves, states: String(states), ms }));
