/** When to colour, and the few colours there are (ECMA-48 SGR). */

const codes = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;

export type Color = keyof typeof codes;
export type Paint = (color: Color, text: string) => string;

/** Colours, or none. */
export function painter(enabled: boolean): Paint {
  if (!enabled) return (_color, text) => text;
  return (color, text) => {
    const [on, off] = codes[color];
    return `\x1b[${on}m${text}\x1b[${off}m`;
  };
}

/**
 * Whether to colour what goes to a stream: `--no-color` is heard first, then FORCE_COLOR, then NO_COLOR
 * (no-color.org: any value but the empty one), then whether it is a terminal that knows colours.
 */
export function wantsColor(
  noColor: boolean,
  environment: Readonly<Record<string, string | undefined>>,
  isTerminal: boolean,
): boolean {
  if (noColor) return false;
  const force = environment['FORCE_COLOR'];
  if (force !== undefined) return force !== '0' && force !== 'false';
  const refused = environment['NO_COLOR'];
  if (refused !== undefined && refused !== '') return false;
  return isTerminal && environment['TERM'] !== 'dumb';
}
