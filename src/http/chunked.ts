/**
 * The chunked transfer coding, RFC 9112 §7.1, as an incremental decoder without sockets.
 *
 * It reads strictly: sizes are hexadecimal digits and nothing else, lines end in CRLF. So a chunk can be
 * sent on as it came (`wire`), because no other parser can read it in another way; extensions, which an
 * intermediary may drop (§7.1.1), are the one thing left out.
 */
import { SallyportError } from '../base/errors.js';
import { CR, HTAB, LF, SEMICOLON, SP, hexDigits, valueChars } from './chars.js';
import { type HeadLimits, parseTrailers } from './head.js';

type State = 'size' | 'extension' | 'size-lf' | 'data' | 'data-cr' | 'data-lf' | 'trailer';

/** More digits than any real size has; leading zeros count, so that a size line is bounded. */
const maxSizeDigits = 16;

export class ChunkedDecoder {
  /** Payload bytes so far. */
  payloadBytes = 0;
  /** Set once the last chunk and the trailer section were read: raw pairs. */
  trailers: readonly string[] | undefined;
  readonly #side: 'request' | 'response';
  readonly #limits: HeadLimits & { readonly head: number };
  #state: State = 'size';
  #size = 0;
  #digits = 0;
  #remaining = 0;
  #extensionBytes = 0;
  /** Only white space after the size so far: a `;` must follow (chunk-ext = *( BWS ";" … )). */
  #blank = false;
  /** The current size line cannot be sent on verbatim: it has an extension or began in an earlier buffer. */
  #rewrite = false;
  #trailerText = '';
  #trailerLines = 0;
  #out: Buffer[] = [];

  constructor(side: 'request' | 'response', limits: HeadLimits & { readonly head: number }) {
    this.#side = side;
    this.#limits = limits;
  }

  /**
   * Reads from `at`; returns where it stopped, the end of the buffer or of the body. Stops early after a
   * piece when payload is wanted (not `wire`), so that pieces need no joining.
   */
  read(bytes: Buffer, at: number, wire: boolean): number {
    // Where the bytes to be sent on begin, and where the current size line began; −1 for none.
    let from = this.#state === 'data' || this.#state === 'data-cr' || this.#state === 'data-lf' ? at : -1;
    let lineStart = this.#digits === 0 && this.#state === 'size' ? at : -1;
    if (lineStart === -1) this.#rewrite = true;
    let index = at;
    while (index < bytes.length) {
      const byte = bytes[index] ?? 0;
      switch (this.#state) {
        case 'size':
          index += 1;
          this.#readSize(byte);
          break;
        case 'extension':
          index += 1;
          this.#readExtension(byte);
          break;
        case 'size-lf': {
          if (byte !== LF) throw this.#bad('a chunk size line does not end in CRLF');
          index += 1;
          if (this.#size === 0) {
            if (wire && from !== -1 && lineStart !== -1) this.#emit(bytes, from, lineStart);
            from = -1;
            this.#state = 'trailer';
            break;
          }
          if (wire && (this.#rewrite || lineStart === -1)) {
            if (from !== -1 && lineStart !== -1) this.#emit(bytes, from, lineStart);
            this.#out.push(Buffer.from(`${this.#size.toString(16)}\r\n`, 'latin1'));
            from = index;
          } else if (wire && from === -1) {
            from = lineStart;
          }
          this.#remaining = this.#size;
          this.#state = 'data';
          break;
        }
        case 'data': {
          const take = Math.min(this.#remaining, bytes.length - index);
          this.#remaining -= take;
          this.payloadBytes += take;
          if (this.#remaining === 0) this.#state = 'data-cr';
          if (!wire) this.#emit(bytes, index, index + take);
          index += take;
          if (!wire) return index;
          break;
        }
        case 'data-cr':
          if (byte !== CR) throw this.#bad('a chunk is longer than its size says');
          index += 1;
          this.#state = 'data-lf';
          break;
        case 'data-lf':
          if (byte !== LF) throw this.#bad('a chunk does not end in CRLF');
          index += 1;
          this.#beginSize();
          lineStart = index;
          break;
        default:
          index = this.#readTrailer(bytes, index);
          if (this.trailers) return index;
      }
    }
    if (wire && from !== -1) {
      const inSizeLine = this.#state === 'size' || this.#state === 'extension' || this.#state === 'size-lf';
      this.#emit(bytes, from, inSizeLine ? lineStart : index);
    }
    return index;
  }

  /** What `read` put out since the last call. */
  take(): readonly Buffer[] {
    const out = this.#out;
    if (out.length > 0) this.#out = [];
    return out;
  }

  #emit(bytes: Buffer, from: number, to: number): void {
    if (to > from) this.#out.push(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to));
  }

  #beginSize(): void {
    this.#state = 'size';
    this.#size = 0;
    this.#digits = 0;
    this.#rewrite = false;
  }

  #readSize(byte: number): void {
    const value = (hexDigits[byte] ?? 0) - 1;
    if (value >= 0) {
      this.#size = this.#size * 16 + value;
      this.#digits += 1;
      if (this.#digits > maxSizeDigits || this.#size > Number.MAX_SAFE_INTEGER) {
        throw this.#bad('a chunk size is too large');
      }
      return;
    }
    if (this.#digits === 0) throw this.#bad('a chunk size has no digits');
    if (byte === CR) this.#state = 'size-lf';
    else if (byte === SEMICOLON || byte === SP || byte === HTAB) this.#beginExtension(byte);
    else throw this.#bad('a chunk size has a byte that is no hexadecimal digit');
  }

  #beginExtension(byte: number): void {
    this.#rewrite = true;
    this.#state = 'extension';
    this.#blank = byte !== SEMICOLON;
    this.#countExtension();
  }

  #readExtension(byte: number): void {
    if (byte === CR && !this.#blank) {
      this.#state = 'size-lf';
      return;
    }
    if (this.#blank && byte === SEMICOLON) this.#blank = false;
    else if (this.#blank ? byte !== SP && byte !== HTAB : valueChars[byte] !== 1) {
      throw this.#bad('a chunk extension has a byte that it cannot have');
    }
    this.#countExtension();
  }

  /** Extensions are bounded over the whole body, or they would be an upload that no limit sees. */
  #countExtension(): void {
    this.#extensionBytes += 1;
    if (this.#extensionBytes > this.#limits.head) throw this.#bad('the chunk extensions are too large');
  }

  #readTrailer(bytes: Buffer, from: number): number {
    // One line at a time; the section ends with an empty one.
    const lineEnd = bytes.indexOf(LF, from);
    const to = lineEnd === -1 ? bytes.length : lineEnd + 1;
    this.#trailerText += bytes.toString('latin1', from, to);
    if (this.#trailerText.length > this.#limits.head) throw this.#bad('the trailer section is too large');
    if (lineEnd === -1) return to;
    this.#trailerLines += 1;
    if (this.#trailerLines > this.#limits.fields + 1)
      throw this.#bad('the trailer section has too many fields');
    const text = this.#trailerText;
    if (text.at(-2) !== '\r') throw this.#bad('a trailer line does not end in CRLF');
    if (text === '\r\n') this.trailers = [];
    else if (text.endsWith('\r\n\r\n'))
      this.trailers = parseTrailers(text.slice(0, -2), this.#side, this.#limits);
    return to;
  }

  #bad(detail: string): SallyportError {
    const code = this.#side === 'request' ? 'ERR_REQUEST_BODY_SYNTAX' : 'ERR_RESPONSE_BODY_SYNTAX';
    return new SallyportError(code, detail);
  }
}
