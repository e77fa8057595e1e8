/**
 * How small messages are written to TLS. Node's TLS gathers ciphertext in a ring whose first piece has the size of the
 * handshake's first flight, and at least 1 KiB. A write that does not fit takes a second piece, 16 KiB that are never
 * given back: a third of what an idle connection holds.
 */
import type { Bytes } from './bytes.js';

/** A record of this much payload fits the first piece (22 bytes go around it, RFC 8446 §5.2). */
export const leanWrite: Bytes = 1000;

/** Until a connection has sent this much, small messages go in such writes; then it is worth its 16 KiB. */
export const leanTotal: Bytes = 16 * 1024;

/** More than this at once is sent at once: a write each for its pieces would cost more time than memory is worth. */
export const leanMessage: Bytes = 8 * 1024;
