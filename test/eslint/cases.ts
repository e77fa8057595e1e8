/** How cases of the rules are written down. Each is run by ESLint and by oxlint. */

/** The options of a rule. */
export type Options = Record<string, boolean | string[]>;

export interface Case {
  readonly name: string;
  readonly code: string;
  readonly options?: [Options];
}

export interface InvalidCase extends Case {
  /** `messageId`, and what the message says of the line, if it says one. */
  readonly errors: readonly (readonly [messageId: string, line?: number])[];
}

export type ValidRow = readonly [name: string, code: string, options?: [Options]];
export type InvalidRow = readonly [
  name: string,
  code: string,
  errors: InvalidCase['errors'],
  options?: [Options],
];

export function validCases(rows: readonly ValidRow[]): readonly Case[] {
  return rows.map(([name, code, options]) => ({ name, code, ...(options && { options }) }));
}

export function invalidCases(rows: readonly InvalidRow[]): readonly InvalidCase[] {
  return rows.map(([name, code, errors, options]) => ({ name, code, errors, ...(options && { options }) }));
}

/** `Context` by import on line 1, the body of a function from line 2 on. */
export function body(code: string, head = 'async function f(parent = Context.background)'): string {
  return `import { Context } from 'sallyport/context'; ${head} {\n${code}\n}`;
}
