/** Images of which one thing is damaged, and the error that using them meets. */
import { FileMap } from "../../src/fs/ext/file-map.ts";
import { DaxError } from "../../src/lib/errno.ts";
import type { Field } from "../../src/lib/struct.ts";
import type { Filesystem } from "../../src/vfs/filesystem.ts";
import { ExtEditor } from "./ext-editor.ts";
import { type ExtFixture, find, fixtureImage, mountBytes } from "./ext-images.ts";

const editors = new Map<ExtFixture, ExtEditor>();

export function editorOf(name: ExtFixture): ExtEditor {
  let editor = editors.get(name);
  if (editor === undefined) editors.set(name, (editor = new ExtEditor(fixtureImage(name))));
  return editor;
}

/** The error that `use` meets on the damaged image, as code and message. */
export function errorOf(
  name: ExtFixture,
  damage: (editor: ExtEditor) => void,
  use: (filesystem: Filesystem) => unknown,
): string {
  const editor = editorOf(name);
  try {
    damage(editor);
    use(mountBytes(editor.bytes));
    return "no error";
  } catch (error) {
    if (!(error instanceof DaxError)) throw error;
    return `${error.code} ${error.message}`;
  } finally {
    editor.restore();
  }
}

const intact = new Map<ExtFixture, Filesystem>();

/** Looked up in an image that nobody damages. */
export function inoOf(name: ExtFixture, path: string): number {
  let filesystem = intact.get(name);
  if (filesystem === undefined) intact.set(name, (filesystem = mountBytes(fixtureImage(name))));
  return find(filesystem, path).ino;
}

export function blockOf(name: ExtFixture, path: string, index: number): number {
  const { volume } = editorOf(name);
  const map = new FileMap(volume, volume.record(inoOf(name, path)));
  const block = map.blockOf(index);
  if (block === undefined) throw new Error(`block ${index} of ${path} is a hole`);
  return block;
}

export type Row = readonly [what: string, field: Field<number>, value: number, error: RegExp];
