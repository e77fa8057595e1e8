/** What `sallyport run --log-format json` says about exchanges. */
import { eventually } from '../support/patience.js';

/** Of docs/cli.md, JSON lines, what these tests look at. */
export interface ExchangeLine {
  readonly event: 'exchange';
  readonly method: string;
  readonly url: string;
  readonly status: number | null;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly answeredBy: 'origin' | 'hook' | 'proxy';
  readonly client: { readonly connection: number; readonly tls: { readonly alpn: string | null } | null };
  readonly server: { readonly reused: boolean } | null;
  readonly error: { readonly code: string } | null;
}

/** The first `count` exchanges in the output of a command, as soon as it has so many. */
export async function exchangeLines(
  source: { readonly output: string },
  count: number,
): Promise<readonly ExchangeLine[]> {
  await eventually(`${count} exchanges are logged`, () => parse(source.output).length >= count);
  return parse(source.output);
}

/** The exchanges in the complete lines of `output`. */
export function parse(output: string): readonly ExchangeLine[] {
  const lines = output.split('\n').slice(0, -1);
  const objects = lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as unknown);
  return objects.filter(isExchange);
}

function isExchange(line: unknown): line is ExchangeLine {
  return typeof line === 'object' && line !== null && 'event' in line && line.event === 'exchange';
}
