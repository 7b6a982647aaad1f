// A document is added to a store; "compact" has the file written anew before it is promised.
import Datastore from "@seald-io/nedb";

const store = new Datastore({ filename: "/data/store.db" });
await store.loadDatabaseAsync();
await store.insertAsync({ _id: "two", text: "second" });
if (process.argv[2] === "compact") await store.compactDatafileAsync();
console.log("ack two");
