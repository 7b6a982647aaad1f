/**
 * Commands that can be typed again as they are printed.
 *
 * @module
 */

/** A word as a shell takes it. */
export function quoted(word: string): string {
  if (/^[\w./:@=,-]+$/u.test(word)) return word;
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/** Options as they were given: `--model ext2`; a list is joined by commas. */
export function optionWords(
  values: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>,
): string[] {
  return Object.entries(values).flatMap(([name, value]) => {
    if (value === undefined || value === false) return [];
    if (value === true) return [`--${name}`];
    return [`--${name}`, quoted(Array.isArray(value) ? value.join(",") : String(value))];
  });
}
