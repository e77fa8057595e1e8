/** The output of workers, taken apart into lines: theirs are mixed line by line, and never within one. */
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

/** A line that is longer is passed on in pieces: URLs have 16 KiB at the most. */
const longest = 1024 * 1024;

/** Calls `take` for each line of `stream`, and at its end for what has no line end. */
export function forEachLine(stream: Readable, take: (line: string) => void): void {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  stream.on('data', (chunk: Buffer) => {
    const lines = `${rest}${decoder.write(chunk)}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) take(line);
    if (rest.length > longest) {
      take(rest);
      rest = '';
    }
  });
  stream.on('end', () => {
    if (rest !== '') take(rest);
    rest = '';
  });
  // The worker is gone then, which is heard elsewhere.
  stream.on('error', () => {
    rest = '';
  });
}
