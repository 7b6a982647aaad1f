// A file is written under a lock, and synced. The lock itself is promised to nobody: after a power
// cut nobody holds it, and what is left of it becomes stale.
import { writeFileSync } from "node:fs";
import lockfile from "proper-lockfile";

const release = await lockfile.lock("/data/settings.json");
writeFileSync("/data/settings.json", JSON.stringify({ version: 2 }), { flag: "r+", flush: true });
await release();
console.log("ack version 2");
