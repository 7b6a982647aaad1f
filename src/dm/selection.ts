/**
 * What `-S` selects: comparisons of fields, joined by `&&`, `||`, `!` and parentheses.
 *
 * @module
 */
import { UsageError } from "./dmsetup-options.ts";
import { type Field, fieldOf } from "./report-layout.ts";

type Test<Row> = (row: Row) => boolean;

/** A test of rows. @throws UsageError for what is no selection */
export function selection<Row>(text: string, all: readonly Field<Row>[]): Test<Row> {
  const parser = new Parser(text, all);
  return text.trim() === "" ? () => true : parser.whole();
}

class Parser<Row> {
  readonly #text: string;
  readonly #all: readonly Field<Row>[];
  #at = 0;

  constructor(text: string, all: readonly Field<Row>[]) {
    this.#text = text;
    this.#all = all;
  }

  whole(): Test<Row> {
    const test = this.#either();
    if (this.#rest() !== "") this.#refuse("Expecting logical operator");
    return test;
  }

  #either(): Test<Row> {
    let test = this.#both();
    while (this.#take(/^(?:\|\||#)/u) !== undefined) {
      const [one, other] = [test, this.#both()];
      test = (row) => one(row) || other(row);
    }
    return test;
  }

  #both(): Test<Row> {
    let test = this.#single();
    while (this.#take(/^(?:&&|,)/u) !== undefined) {
      const [one, other] = [test, this.#single()];
      test = (row) => one(row) && other(row);
    }
    return test;
  }

  #single(): Test<Row> {
    if (this.#take(/^!(?=\s*\()/u) !== undefined) {
      const test = this.#single();
      return (row) => !test(row);
    }
    if (this.#take(/^\(/u) === undefined) return this.#comparison();
    const test = this.#either();
    if (this.#take(/^\)/u) === undefined) this.#refuse("Syntax error: right parenthesis not found");
    return test;
  }

  #comparison(): Test<Row> {
    const name = this.#take(/^\w+/u);
    if (name === undefined) return this.#refuse("Expecting field name");
    const field = fieldOf(name, this.#all, "selection field");
    const operator = this.#take(/^(?:=~|!~|!=|>=|<=|=|>|<)/u);
    if (operator === undefined) return this.#refuse("Unrecognised comparison operator");
    const word = this.#take(/^(?:"[^"]*"|'[^']*'|[^\s&|,#()$]+)/u);
    if (word === undefined) return this.#refuse("Expecting a value");
    const value = word.replace(/^(["'])(.*)\1$/u, "$2");
    return compared(field, operator, value);
  }

  #rest(): string {
    return this.#text.slice(this.#at).trimStart();
  }

  #take(pattern: RegExp): string | undefined {
    const rest = this.#rest();
    const [found] = pattern.exec(rest) ?? [];
    if (found !== undefined) this.#at = this.#text.length - rest.length + found.length;
    return found;
  }

  #refuse(why: string): never {
    throw new UsageError(`${why}\nSelection syntax error at '${this.#rest().slice(0, 200)}'.`);
  }
}

function compared<Row>(field: Field<Row>, operator: string, value: string): Test<Row> {
  const { cell } = field;
  if (operator === "=~" || operator === "!~") {
    const pattern = patternOf(value);
    return (row) => pattern.test(cell(row)) === (operator === "=~");
  }
  if (operator === "=") return (row) => same(field, cell(row), value);
  if (operator === "!=") return (row) => !same(field, cell(row), value);
  if (field.isNumber !== true || !/^\d+$/u.test(value)) {
    throw new UsageError(`Operator ${operator} is for numbers, not for ${field.id} and "${value}"`);
  }
  const against = Number(value);
  if (operator === ">") return (row) => Number(cell(row)) > against;
  if (operator === ">=") return (row) => Number(cell(row)) >= against;
  if (operator === "<") return (row) => Number(cell(row)) < against;
  return (row) => Number(cell(row)) <= against;
}

function same<Row>({ isNumber }: Field<Row>, cell: string, value: string): boolean {
  return isNumber === true ? Number(cell) === Number(value) : cell === value;
}

/** @throws UsageError */
function patternOf(text: string): RegExp {
  try {
    return new RegExp(text, "u");
  } catch {
    throw new UsageError(`"${text.slice(0, 200)}" is no regular expression`);
  }
}
