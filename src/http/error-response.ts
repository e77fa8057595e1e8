/** The response for an error of the table: short, in the form that the client accepts, without internals. */
import type { SallyportError } from '../base/errors.js';
import type { H1ResponseHead } from './head.js';
import { ownResponse } from './forward.js';

export interface ErrorResponse {
  readonly head: H1ResponseHead;
  readonly body: Buffer;
}

export interface ErrorResponseOptions {
  /** The Accept field of the request, if there was a request. */
  readonly accept: string | undefined;
  readonly method: string;
  /** Instead of the status of the table. */
  readonly status?: number;
}

/**
 * `Proxy-Status` (RFC 9209) has the code and the type for machines; the body is JSON, HTML or text by the
 * Accept field (RFC 9110 §12.5.1). For HEAD the body is empty and its length still stated.
 */
export function errorResponse(error: SallyportError, options: ErrorResponseOptions): ErrorResponse {
  const { entry } = error;
  const status = options.status ?? entry.status ?? 500;
  const { type, text } = errorBody(error, status, preferred(options.accept));
  const body = Buffer.from(text);
  const proxyStatus = entry.proxyStatus === undefined ? '' : `; error=${entry.proxyStatus}`;
  const head = ownResponse(
    {
      status,
      headers: {
        'Content-Type': `${type}; charset=utf-8`,
        'Cache-Control': 'no-store',
        'X-Content-Type-Options': 'nosniff',
        'Proxy-Status': `sallyport${proxyStatus}; details="${error.code}"`,
      },
      length: body.length,
    },
    options.method,
  );
  return { head, body: options.method === 'HEAD' ? Buffer.alloc(0) : body };
}

type MediaType = 'text/plain' | 'text/html' | 'application/json';

function errorBody(
  error: SallyportError,
  status: number,
  type: MediaType,
): { type: MediaType; text: string } {
  const { code, detail, entry } = error;
  if (type === 'application/json') {
    const content = {
      error: { code, status, phase: entry.phase, title: entry.title, detail, hint: entry.hint },
    };
    return { type, text: `${JSON.stringify(content, undefined, 2)}\n` };
  }
  if (type === 'text/html') return { type, text: htmlPage(error, status) };
  return { type, text: `${entry.title}\n\n${detail}\n${entry.hint}\n\n${code} (sallyport)\n` };
}

function htmlPage({ code, detail, entry }: SallyportError, status: number): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${status} ${escaped(entry.title)}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem; color: #1f2328; background: #fff; }
h1 { font-size: 1.4rem; }
code { background: #eff1f3; padding: .1em .3em; border-radius: 4px; overflow-wrap: anywhere; }
footer { margin-top: 2rem; color: #59636e; font-size: .875rem; }
@media (prefers-color-scheme: dark) { body { color: #d1d7e0; background: #1b1f24; } code { background: #2d333b; } footer { color: #9198a1; } }
</style>
</head>
<body>
<h1>${escaped(entry.title)}</h1>
<p><code>${escaped(detail)}</code></p>
<p>${escaped(entry.hint)}</p>
<footer>${code} · HTTP ${status} · answered by sallyport, not by the origin</footer>
</body>
</html>
`;
}

/**
 * The best of the three forms by Accept; text where the client has no wish, or none of them is among its
 * wishes.
 */
function preferred(accept: string | undefined): MediaType {
  let best: MediaType = 'text/plain';
  let bestQuality = 0;
  for (const range of (accept ?? '').slice(0, 1024).split(',')) {
    const [name = '', ...parameters] = range.toLowerCase().split(';');
    const quality = Number(/^\s*q=([\d.]+)\s*$/.exec(parameters.at(-1) ?? '')?.[1] ?? 1);
    const type = mediaTypes.get(name.trim());
    if (type && quality > bestQuality) {
      best = type;
      bestQuality = quality;
    }
  }
  return best;
}

const mediaTypes: ReadonlyMap<string, MediaType> = new Map([
  ['text/html', 'text/html'],
  ['application/xhtml+xml', 'text/html'],
  ['application/json', 'application/json'],
  ['application/problem+json', 'application/json'],
  ['text/*', 'text/plain'],
  ['text/plain', 'text/plain'],
  ['*/*', 'text/plain'],
]);

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
