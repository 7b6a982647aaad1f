// A store with one document, durable.
import Datastore from "@seald-io/nedb";

const store = new Datastore({ filename: "/data/store.db" });
await store.loadDatabaseAsync();
await store.insertAsync({ _id: "one", text: "first" });
