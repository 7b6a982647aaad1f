/**
 * Attributes on their way to one thread while another one changes the file.
 */
import { expect, test } from "vitest";
import { Onlookers } from "../../src/fuse/onlookers.ts";
import { Node } from "../../src/fuse/nodes.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { mountToWrite } from "../support/ext-mounted.ts";

function place(): { onlookers: Onlookers; one: Node; other: Node; overtaken: Node[] } {
  const tree = new FileTree(mountToWrite(emptyImage({ type: "ext4", blockSize: 1024 })));
  const onlookers = new Onlookers();
  const overtaken: Node[] = [];
  onlookers.overtake = (node) => overtaken.push(node);
  const [one, other] = [2, 3].map((id) => new Node(id, tree.root, undefined));
  return { onlookers, one: one!, other: other!, overtaken };
}

test("what was told to another thread a moment ago is overtaken, once", () => {
  const { onlookers, one, other, overtaken } = place();
  onlookers.asks(100);
  onlookers.tell(one);
  onlookers.asks(200);
  onlookers.changes(other);
  expect(overtaken).toEqual([]);
  onlookers.changes(one);
  onlookers.changes(one);
  expect(overtaken).toEqual([one]);
});

test("who asks again has heard what he was told", () => {
  const { onlookers, one, other, overtaken } = place();
  onlookers.asks(100);
  onlookers.tell(one);
  onlookers.asks(100);
  onlookers.tell(other);
  onlookers.asks(200);
  onlookers.changes(one);
  expect(overtaken).toEqual([]);
  onlookers.changes(other);
  expect(overtaken).toEqual([other]);
});

test("a thread does not overtake itself", () => {
  const { onlookers, one, overtaken } = place();
  onlookers.asks(100);
  onlookers.tell(one);
  onlookers.asks(100);
  onlookers.changes(one);
  expect(overtaken).toEqual([]);
});

test("what was overtaken is not counted down again", () => {
  const { onlookers, one, overtaken } = place();
  onlookers.asks(100);
  onlookers.tell(one);
  onlookers.asks(200);
  onlookers.changes(one);
  onlookers.tell(one);
  onlookers.asks(100);
  onlookers.changes(one);
  expect(overtaken).toEqual([one, one]);
});

test("however many threads there were, only some are remembered", () => {
  const { onlookers, one, overtaken } = place();
  for (let thread = 0; thread < 5000; thread++) {
    onlookers.asks(thread);
    onlookers.tell(one);
  }
  expect(one.onlookers).toBeLessThanOrEqual(1024);
  onlookers.asks(9999);
  onlookers.changes(one);
  expect(overtaken).toEqual([one]);
});
