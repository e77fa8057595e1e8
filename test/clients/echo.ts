/** An origin that tells its client, and the test, what of a request reached it. */
import { createHash } from 'node:crypto';
import type http from 'node:http';
import type https from 'node:https';
import type { TestContext } from 'node:test';
import { httpOrigin } from '../support/origins.js';

/** A request as the origin had it; the body of the response is the same as JSON. */
export interface Echo {
  readonly method: string;
  /** The target of the request line. */
  readonly url: string;
  readonly httpVersion: string;
  readonly headers: http.IncomingHttpHeaders;
  /** Bytes of the body, and their hash. */
  readonly length: number;
  readonly sha256: string;
}

export class EchoOrigin {
  readonly port: number;
  /** What came so far, in order. */
  readonly seen: readonly Echo[];
  /** For what else a test wants to listen to. */
  readonly server: http.Server;
  #connections = 0;

  private constructor(port: number, seen: readonly Echo[], server: http.Server) {
    this.port = port;
    this.seen = seen;
    this.server = server;
    server.on('connection', () => (this.#connections += 1));
  }

  /** Over TLS where `options` are given. A path in `pages` has its own answer. */
  static async open(
    t: TestContext,
    options: https.ServerOptions | undefined,
    pages: Readonly<Record<string, http.RequestListener>> = {},
  ): Promise<EchoOrigin> {
    const seen: Echo[] = [];
    const answer: http.RequestListener = (request, response) => {
      const page = pages[request.url ?? ''];
      void take(request).then((echo) => {
        seen.push(echo);
        if (page) page(request, response);
        else response.setHeader('content-type', 'application/json').end(JSON.stringify(echo));
      }, ignoreClientGone);
    };
    const { port, server } = await httpOrigin(t, answer, options);
    return new EchoOrigin(port, seen, server);
  }

  /** TCP connections so far. */
  get connections(): number {
    return this.#connections;
  }
}

async function take(request: http.IncomingMessage): Promise<Echo> {
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    hash.update(chunk);
    length += chunk.length;
  }
  const { method = '', url = '', httpVersion, headers } = request;
  return { method, url, httpVersion, headers, length, sha256: hash.digest('hex') };
}

function ignoreClientGone(): void {
  // What did not come whole is not in `seen`.
}

/** `length` bytes in which every piece looks different, and their hash as `Echo` has it. */
export function sample(length: number): { readonly bytes: Buffer; readonly sha256: string } {
  const bytes = Buffer.alloc(length);
  // A step that is no power of two, so that no two blocks of a buffer's size are equal.
  for (let at = 0; at < length; at += 1) bytes[at] = (at % 251) ^ ((at >> 8) & 0xff);
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}

/** A body that is announced with Content-Length, begun, and broken off. */
export const cutShort: http.RequestListener = (_request, response) => {
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': '1000' });
  response.write('the beginning', () => response.destroy());
};

/** The same in chunks, where only the last one says that the body is whole. */
export const cutShortInChunks: http.RequestListener = (_request, response) => {
  response.writeHead(200, { 'content-type': 'text/plain' });
  response.write('the beginning', () => response.destroy());
};
