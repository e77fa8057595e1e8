/**
 * Tests of a parser as scripts, in the manner of mitmproxy's playbooks: this arrives, that is told.
 *
 *     requests().arrives('GET / HTTP/1.0\r\n\r\n').tells('GET / HTTP/1.0 (none)', 'end')
 */
import assert from 'node:assert/strict';
import { SallyportError } from '../../src/base/errors.js';
import type { H1RequestHead, H1ResponseHead } from '../../src/http/head.js';
import { type ParserLimits, RequestParser, ResponseParser } from '../../src/http/parser.js';
import { bytes, defaultLimits } from './events.js';

/**
 * What is told is written in one line each: `begin`; a head as its first line with the framing in
 * parentheses; `data "…"`; `end`, with trailers `end X-A: 1, X-B: 2`; an error as its code and status.
 */
export class Script<Head extends H1RequestHead | H1ResponseHead> {
  readonly parser: RequestParser | ResponseParser;
  /** The last head. */
  head: Head | undefined;
  #told: string[] = [];
  #reacts: ((line: string) => void) | undefined;

  constructor(make: (script: Script<Head>) => RequestParser | ResponseParser) {
    this.parser = make(this);
  }

  note(line: string): void {
    this.#told.push(line);
    this.#reacts?.(line);
  }

  /** Done at each line that is told, while it is told. */
  reacts(reaction: (line: string, parser: RequestParser | ResponseParser) => void): this {
    this.#reacts = (line) => reaction(line, this.parser);
    return this;
  }

  arrives(...chunks: readonly (string | Buffer)[]): this {
    return this.#try(() => {
      for (const chunk of chunks) this.parser.push(typeof chunk === 'string' ? bytes(chunk) : chunk);
    });
  }

  /** The peer closes. */
  closes(): this {
    return this.#try(() => this.parser.finish());
  }

  resumes(): this {
    return this.#try(() => this.parser.resume());
  }

  /** What was told since the last time, no more and no less. */
  tells(...lines: readonly string[]): this {
    assert.deepEqual(this.#told, lines);
    this.#told = [];
    return this;
  }

  /** The last head; there must be one. */
  theHead(): Head {
    assert.ok(this.head);
    return this.head;
  }

  #try(work: () => void): this {
    try {
      work();
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.note(`${error.code} ${error.entry.status ?? '-'}`);
    }
    return this;
  }
}

/** A client's side. */
export function requests(limits: Partial<ParserLimits> = {}): Script<H1RequestHead> {
  return new Script<H1RequestHead>(
    (script) =>
      new RequestParser(
        {
          ...common(script),
          head(head) {
            script.head = head;
            script.note(`${head.method} ${head.target} HTTP/${head.version} (${head.framing})`);
          },
        },
        { ...defaultLimits, ...limits },
      ),
  );
}

/** An origin's side; `method` is that of the request which is answered. */
export function responses(method = 'GET', limits: Partial<ParserLimits> = {}): Script<H1ResponseHead> {
  return new Script<H1ResponseHead>((script) => {
    const parser = new ResponseParser(
      {
        ...common(script),
        head(head) {
          script.head = head;
          script.note(`HTTP/${head.version} ${head.status} ${head.reason} (${head.framing})`);
        },
      },
      { ...defaultLimits, ...limits },
    );
    parser.requestMethod = method;
    return parser;
  });
}

function common(script: { note(line: string): void }) {
  return {
    begin: () => script.note('begin'),
    data: (piece: Buffer) => script.note(`data ${JSON.stringify(piece.toString('latin1'))}`),
    end(trailers: readonly string[]) {
      const lines: string[] = [];
      for (let at = 0; at < trailers.length; at += 2) lines.push(`${trailers[at]}: ${trailers[at + 1]}`);
      script.note(lines.length === 0 ? 'end' : `end ${lines.join(', ')}`);
    },
  };
}
