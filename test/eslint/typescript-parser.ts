/** A parser of TypeScript for ESLint: oxc's. The parser that ESLint's users have does not know our TypeScript yet. */
import type { Linter } from 'eslint';
import { parseSync } from 'oxc-parser';

interface Located {
  readonly type: string;
  readonly range: readonly [number, number];
  loc?: { readonly start: Position; readonly end: Position };
}

interface Position {
  readonly line: number;
  readonly column: number;
}

export const typescriptParser: Linter.Parser = {
  parseForESLint(code: string) {
    const options = { lang: 'ts', range: true, preserveParens: false } as const;
    const { program, errors } = parseSync('code.ts', code, options);
    const [error] = errors;
    if (error) throw new SyntaxError(error.message);
    const places = placesIn(code);
    const at = (offset: number): Position => places[offset] ?? { line: 1, column: 0 };
    const locate = (value: unknown): void => {
      if (Array.isArray(value)) value.forEach(locate);
      if (!isNode(value)) return;
      value.loc = { start: at(value.range[0]), end: at(value.range[1]) };
      for (const child of Object.values(value)) locate(child);
    };
    locate(program);
    // oxc's nodes are those of ESTree, and have no tokens: the rules need none.
    return { ast: { ...program, tokens: [], comments: [] } };
  },
};

/** For each offset, and for the end. */
function placesIn(code: string): readonly Position[] {
  const places: Position[] = [];
  let place = { line: 1, column: 0 };
  for (let offset = 0; offset <= code.length; offset++) {
    places.push(place);
    place =
      code[offset] === '\n'
        ? { line: place.line + 1, column: 0 }
        : { line: place.line, column: place.column + 1 };
  }
  return places;
}

function isNode(value: unknown): value is Located {
  return typeof value === 'object' && value !== null && 'type' in value && 'range' in value;
}
