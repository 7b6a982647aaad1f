// What is there before: version 1, durable.
import { writeFileSync } from "node:fs";

writeFileSync("/data/settings.json", JSON.stringify({ version: 1 }));
