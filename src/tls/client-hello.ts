/**
 * Reads a ClientHello from the first bytes of a client, before anything is allocated for TLS.
 *
 * The bytes may come split in any way, and the handshake message may be spread over any number of records
 * (RFC 8446 §5.1). What comes out is a pure function of the bytes: the split never matters. A byte is looked
 * at once or twice, however the bytes come; at most `clientHelloLimit` bytes are waited for.
 */
import type { Bytes } from '../base/bytes.js';
import { SallyportError } from '../base/errors.js';
import { type ClientHello, handshakeHeaderLength, parseClientHelloMessage } from './client-hello-message.js';

export type { ClientHello } from './client-hello-message.js';

/** The most bytes that a ClientHello may take on the wire, record headers included. */
export const clientHelloLimit: Bytes = 64 * 1024;

/**
 * One reader for one connection. Push what arrives until the answer is not `more`; then `bytes` is
 * everything that was pushed, to be given to whoever speaks TLS.
 *
 * The first chunk is kept, not copied: it must not be written to by its owner afterwards.
 */
export class ClientHelloReader {
  readonly #received = new GatheredBytes();
  /** Where the header of the record begins that is not complete yet. */
  #recordStart = 0;
  /** Bytes of the handshake message in the complete records before `#recordStart`. */
  #collected = 0;
  /** Length of the handshake message with its header; `undefined` until the header has come. */
  #messageLength: number | undefined;
  #outcome: ClientHello | SallyportError | undefined;

  /**
   * Takes the next bytes. Throws `ERR_CLIENT_HELLO_INVALID` for what is not a ClientHello in TLS records and
   * `ERR_CLIENT_HELLO_TOO_LARGE` for one that does not end within `clientHelloLimit`. After an answer or an
   * error, further bytes are added to `bytes` and the outcome stays.
   */
  push(chunk: Buffer): 'more' | ClientHello {
    this.#received.append(chunk);
    this.#outcome ??= this.#read();
    if (this.#outcome instanceof SallyportError) throw this.#outcome;
    return this.#outcome ?? 'more';
  }

  /** Everything that was pushed, in one piece. Valid until the next `push`. */
  get bytes(): Buffer {
    return this.#received.view();
  }

  #read(): ClientHello | SallyportError | undefined {
    try {
      return this.#readRecords();
    } catch (thrown) {
      if (thrown instanceof SallyportError) return thrown;
      throw thrown;
    }
  }

  #readRecords(): ClientHello | undefined {
    const bytes = this.#received.buffer;
    // Never looks behind the limit, so that the outcome is the same when more came at once.
    const end = Math.min(this.#received.length, clientHelloLimit);
    for (;;) {
      const start = this.#recordStart;
      if (end < start + recordHeaderLength) break;
      const fragmentLength = checkRecordHeader(bytes, start);
      const present = Math.min(fragmentLength, end - start - recordHeaderLength);

      if (this.#messageLength === undefined && this.#collected + present >= handshakeHeaderLength) {
        this.#messageLength = messageLength(gather(bytes, handshakeHeaderLength));
      }
      if (this.#messageLength !== undefined && this.#collected + present >= this.#messageLength) {
        return parseClientHelloMessage(gather(bytes, this.#messageLength));
      }
      if (present < fragmentLength) break;
      this.#recordStart = start + recordHeaderLength + fragmentLength;
      this.#collected += fragmentLength;
    }
    if (end === clientHelloLimit) throw tooLarge();
    return undefined;
  }
}

/**
 * Reads the ClientHello at the start of `bytes`, which are TLS records. Throws as `ClientHelloReader.push`
 * does, and `ERR_CLIENT_HELLO_INVALID` too when `bytes` end before the ClientHello does.
 */
export function parseClientHello(bytes: Buffer): ClientHello {
  const hello = new ClientHelloReader().push(bytes);
  if (hello === 'more') {
    throw new SallyportError('ERR_CLIENT_HELLO_INVALID', `it does not end within ${bytes.length} bytes`);
  }
  return hello;
}

/** type (1), legacy_record_version (2), length (2): RFC 8446 §5.1 */
const recordHeaderLength = 5;
const handshakeRecord = 22;
const clientHelloType = 1;
/** RFC 8446 §5.1: the length of a plaintext fragment must not exceed 2^14. */
const longestFragment = 1 << 14;

/** The length of the record's fragment. */
function checkRecordHeader(bytes: Buffer, start: number): number {
  const type = bytes.readUInt8(start);
  if (type !== handshakeRecord) {
    throw invalid(
      start === 0 ? `it begins with a record of type ${type}` : `a record of type ${type} is within it`,
    );
  }
  const major = bytes.readUInt8(start + 1);
  if (major !== 3) throw invalid(`a record has major version ${major}`);
  const length = bytes.readUInt16BE(start + 3);
  // Zero-length fragments of handshake messages must not be sent (RFC 8446 §5.1).
  if (length === 0 || length > longestFragment) throw invalid(`a record has a length of ${length}`);
  return length;
}

/** From the header of a handshake message (RFC 8446 §4), the length of the message with its header. */
function messageLength(header: Buffer): number {
  const type = header.readUInt8(0);
  if (type !== clientHelloType) throw invalid(`the handshake begins with a message of type ${type}`);
  const length = handshakeHeaderLength + header.readUIntBE(1, 3);
  if (length + recordHeaderLength > clientHelloLimit) throw tooLarge();
  return length;
}

/**
 * The first `length` bytes of the handshake message. Within one record, the usual case, they are not copied.
 * Called at most twice for a connection, and only when the bytes are there and their headers were checked.
 */
function gather(bytes: Buffer, length: number): Buffer {
  const firstLength = bytes.readUInt16BE(3);
  if (firstLength >= length) return bytes.subarray(recordHeaderLength, recordHeaderLength + length);

  const message = Buffer.allocUnsafe(length);
  let start = 0;
  let filled = 0;
  while (filled < length) {
    const fragmentStart = start + recordHeaderLength;
    const fragmentEnd = fragmentStart + bytes.readUInt16BE(start + 3);
    filled += bytes.copy(message, filled, fragmentStart, fragmentEnd);
    start = fragmentEnd;
  }
  return message;
}

function invalid(detail: string): SallyportError {
  return new SallyportError('ERR_CLIENT_HELLO_INVALID', detail);
}

function tooLarge(): SallyportError {
  return new SallyportError('ERR_CLIENT_HELLO_TOO_LARGE', `it does not end within ${clientHelloLimit} bytes`);
}

/** Bytes appended piece by piece and read in one piece; what is copied is linear in their number. */
class GatheredBytes {
  /** The bytes are the first `length` of it; what follows them is free room. */
  buffer: Buffer = Buffer.alloc(0);
  length = 0;
  /** Whether `buffer` was allocated here, so that its free room may be written to. */
  #owned = false;

  append(chunk: Buffer): void {
    if (this.length === 0) {
      this.buffer = chunk;
      this.length = chunk.length;
      return;
    }
    const needed = this.length + chunk.length;
    if (!this.#owned || needed > this.buffer.length) {
      // Of its own memory: a slice of Node's shared pool would keep the pool alive.
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.length * 2, 1024));
      this.buffer.copy(larger, 0, 0, this.length);
      this.buffer = larger;
      this.#owned = true;
    }
    chunk.copy(this.buffer, this.length);
    this.length = needed;
  }

  view(): Buffer {
    return this.buffer.subarray(0, this.length);
  }
}
