/** Reading HTTP/1.1 responses, as little of it as the load generator needs (RFC 9112 §4, §6, §7.1). */

/**
 * @typedef {object} Answer
 * @property {number} status
 * @property {number} length bytes of body received
 */

/**
 * Reads one response, handing on the body as it comes.
 * @param {{ check: (body: Buffer, offset: number) => boolean, part?: number | undefined,
 *   done: (answer: Answer & { close: boolean }) => void, fail: (message: string) => void }} hooks
 * @returns {(chunk: Buffer) => void}
 */
export function responseReader({ check, part, done, fail }) {
  let text = '';
  let status = 0;
  let close = false;
  let chunked = false;
  let left = 0;
  let length = 0;
  /** @type {'head' | 'body' | 'line' | 'trailer'} */
  let state = 'head';

  /** @param {Buffer} bytes @returns {Buffer | undefined} what is left after the piece; undefined at the end */
  const takePiece = (bytes) => {
    const piece = bytes.length > left ? bytes.subarray(0, left) : bytes;
    if (!check(piece, length)) {
      fail(`a wrong body, within ${piece.length} bytes from ${length}`);
      return undefined;
    }
    length += piece.length;
    left -= piece.length;
    if (part !== undefined && length >= part) {
      done({ status, length, close });
      return undefined;
    }
    return bytes.subarray(piece.length);
  };

  const finish = () => done({ status, length, close });

  return (chunk) => {
    /** @type {Buffer | undefined} */
    let bytes = chunk;
    while (bytes !== undefined) {
      if (state === 'body') {
        bytes = takePiece(bytes);
        if (bytes === undefined) return;
        if (left === 0 && !chunked) {
          if (bytes.length > 0) fail(`${bytes.length} bytes after the answer's end`);
          else finish();
          return;
        }
        if (left > 0) return;
        state = 'line';
        text = '';
      }
      text += bytes.toString('latin1');
      if (state === 'head') {
        const end = text.indexOf('\r\n\r\n');
        if (end < 0) return;
        const head = text.slice(0, end);
        status = Number(head.slice(9, 12));
        if (status !== 200) {
          const body = text.slice(end + 4, end + 124).replace(/\s+/g, ' ');
          fail(`status ${status} (${body})`);
          return;
        }
        close = /\r\nconnection:[^\r]*\bclose\b/i.test(head);
        const declared = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
        chunked = /\r\ntransfer-encoding: *chunked/i.test(head);
        if (!chunked && declared === undefined) {
          fail('an answer without a length');
          return;
        }
        left = chunked ? 0 : Number(declared);
        bytes = Buffer.from(text.slice(end + 4), 'latin1');
        text = '';
        state = chunked ? 'line' : 'body';
        if (bytes.length === 0 && (chunked || left > 0)) return;
      } else if (state === 'line') {
        const line = /^(?:\r\n)?([0-9a-f]+)[^\r\n]*\r\n/i.exec(text);
        if (line === null) return;
        left = Number.parseInt(/** @type {string} */ (line[1]), 16);
        bytes = Buffer.from(text.slice(line[0].length), 'latin1');
        text = '';
        state = left === 0 ? 'trailer' : 'body';
      } else {
        if (text.startsWith('\r\n') || text.includes('\r\n\r\n')) finish();
        return;
      }
    }
  };
}
