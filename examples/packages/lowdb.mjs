// A value of a JSON database is changed.
import { JSONFilePreset } from "lowdb/node";

const db = await JSONFilePreset("/data/settings.json", {});
await db.update((data) => {
  data.version = 2;
});
console.log("ack version 2");
