// The store opens, the old document is there, and the new one once it was promised.
import Datastore from "@seald-io/nedb";

export default async ({ acked, mount }) => {
  const store = new Datastore({ filename: `${mount}/store.db` });
  await store.loadDatabaseAsync();
  const found = new Set(store.getAllData().map(({ _id }) => _id));
  if (!found.has("one")) return "the old document is gone";
  return acked.length === 0 || found.has("two") || "the promised document is not there";
};
