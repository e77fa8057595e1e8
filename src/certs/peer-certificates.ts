/** The certificates of a TLS connection's other side, interned. Works with any `tls.TLSSocket`, on either side. */
import type { TLSSocket } from 'node:tls';
import { readPeerChain } from '../base/peer-chain.js';
import { type CertificateHandle, internChain } from './intern.js';

/**
 * Handles for the chain that the peer showed: leaf first, each with its issuer behind it, at most 16. Frozen; the
 * caller owns them, and the socket does not hold them.
 *
 * A root is last where it was sent, and where the connection's trust store completes the chain with it: Node
 * does not tell the two apart. After a resumption it is the leaf or nothing, as the version of Node has it:
 * keep what the full handshake showed. Node 24 tells a server the leaf of its client alone. Empty before the
 * handshake, without a certificate, and once the socket is closed. Never throws; nothing is parsed. Node
 * takes 0.2 to 0.7 ms for the chain: ask once a connection.
 */
export function internPeerCertificates(socket: TLSSocket): readonly CertificateHandle[] {
  return internChain(readPeerChain(socket));
}
