// Every promised record can be read, in order.
import { recordsIn } from "./wal-format.mjs";

export default ({ fs, acked, mount }) => {
  const path = `${mount}/wal`;
  const found = fs.existsSync(path) ? recordsIn(fs.readFileSync(path)) : [];
  const lost = acked.find((text, i) => found[i] !== text);
  return lost === undefined || `record "${lost}" was promised and is not there`;
};
