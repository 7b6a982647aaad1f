// A JSON file is written.
import { outputJson } from "fs-extra/esm";

await outputJson("/data/settings.json", { version: 2 });
console.log("ack version 2");
