/**
 * What goes over the wire, agreed between the origin and the load generator, so that every byte of every answer
 * can be checked by comparing memory, which costs next to nothing.
 */

/** TLS as both ends of the benchmark speak it, so that every proxy does the same work on each leg. */
export const TLS_OPTIONS = Object.freeze({
  minVersion: /** @type {const} */ ('TLSv1.3'),
  ciphers: 'TLS_AES_128_GCM_SHA256',
  ecdhCurve: 'X25519:P-256',
});

/** Length of a small answer's body, in bytes. */
export const SMALL_LENGTH = 1024;
/** The first bytes of a small answer name the request, so that a crossed answer is seen. */
export const ID_LENGTH = 16;
/** The declared length of `/hold`, and how much of it is ever sent. */
export const HOLD_LENGTH = 1_048_576;
export const HOLD_SENT = 4096;

const BLOCK = 1_048_576;
/** Large bodies repeat this block; it is stored twice so that any window of up to 1 MiB is contiguous. */
const DOUBLED = doubledBlock();

/**
 * The bytes of a large body at `offset`, at most `length` (≤ 1 MiB) of them. A view, not to be written to.
 * @param {number} offset
 * @param {number} length
 */
export function patternAt(offset, length) {
  const start = offset % BLOCK;
  return DOUBLED.subarray(start, start + length);
}

/**
 * @param {Buffer} chunk
 * @param {number} offset where in the body the chunk begins
 */
export function matchesPattern(chunk, offset) {
  for (let done = 0; done < chunk.length; done += BLOCK) {
    const piece = chunk.subarray(done, done + BLOCK);
    if (!piece.equals(patternAt(offset + done, piece.length))) return false;
  }
  return true;
}

/**
 * The body of the answer to `/small/<id>`.
 * @param {string} id at most 16 characters of latin1
 */
export function smallBody(id) {
  const body = Buffer.from(SMALL_TEMPLATE);
  body.write(id.padEnd(ID_LENGTH), 0, ID_LENGTH, 'latin1');
  return body;
}

const SMALL_TEMPLATE = Buffer.alloc(SMALL_LENGTH, 'The quick brown fox jumps over the lazy dog. ');

/** A xorshift generator with a fixed seed: bytes that do not compress and are the same in every process. */
function doubledBlock() {
  const bytes = Buffer.alloc(BLOCK * 2);
  let state = 0x9e3779b9;
  for (let at = 0; at < BLOCK; at += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes.writeInt32LE(state, at);
  }
  bytes.copy(bytes, BLOCK, 0, BLOCK);
  return bytes;
}
