import { expect, test } from "vitest";
import type { NbdExport } from "../../src/nbd/export.ts";
import type { NbdStore } from "../../src/nbd/store.ts";
import { ExportList } from "../../src/node/nbd/export-list.ts";

const named = (name: string): NbdExport => ({ name, store: { size: 1 } as NbdStore });

test("the first is the default, unless another is named", () => {
  const list = new ExportList([named("a"), named("b")]);
  expect(list.find("")?.name).toBe("a");
  expect(list.find("b")?.name).toBe("b");
  expect(list.find("c")).toBeUndefined();
  expect(new ExportList([named("a"), named("b")], "b").find("")?.name).toBe("b");
});

test("refuses what clients could not tell apart or ask for", () => {
  expect(() => new ExportList([])).toThrow(/nothing to export/u);
  expect(() => new ExportList([named("a"), named("a")])).toThrow(/two exports are called "a"/u);
  expect(() => new ExportList([named("a"), named("")])).toThrow(/must be the only one/u);
  expect(() => new ExportList([named("a\0")])).toThrow(/NUL/u);
  expect(() => new ExportList([named("ä".repeat(2049))])).toThrow(/longer than 4096 bytes/u);
  expect(() => new ExportList([named("disk")], "dsik")).toThrow(/did you mean "disk"/u);
  const many = Array.from({ length: 9 }, (_, i) => named(`image ${i}`));
  expect(() => new ExportList(many, "x")).toThrow(/"x"; there is "image 0", .*"image 7", …\)/u);
});

test("refuses what is no export", () => {
  const wrong = [{ export: named("a") }, "disk.img", undefined] as unknown as NbdExport[];
  for (const each of wrong) {
    expect(() => new ExportList([each])).toThrow(/^EINVAL.*openExport\(path\)\.export/u);
  }
  const none = undefined as unknown as NbdExport[];
  expect(() => new ExportList(none)).toThrow(/^EINVAL.*a list/u);
});

test("a lone export may have no name", () => {
  expect(new ExportList([named("")]).find("")?.name).toBe("");
});
