/** Finds out whether one context can serve every host: the setters are not documented, so handshakes tell. */
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import { type SecureContext, TLSSocket, connect } from 'node:tls';
import type { Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { readCertificateFields } from './certificate-fields.js';
import { Minter } from './mint.js';
import { certificateName } from './names.js';
import { makeRoot } from './root.js';
import { type ServedLeaf, SharedContexts } from './shared-context.js';
import { localSigner } from './signer.js';
import { TicketKeys } from './ticket-keys.js';

/** What is probed: as `SharedContexts`, or something that must be found wanting. */
export interface Loader {
  load(leaf: ServedLeaf): SecureContext | undefined;
}

/** Handshakes in memory take a millisecond or two each. */
const patience: Milliseconds = 5_000;

/**
 * Whether connections that are made from one context get the leaf, the key and the session id context that was
 * set just before, and keep them when others are set before their handshake. Never rejects.
 *
 * The certificates are made for this and trusted by nobody; nothing leaves the process.
 */
export async function sharedContextWorks(loader?: Loader): Promise<boolean> {
  using context = Context.background.withTimeout(patience);
  try {
    const shared =
      loader ?? new SharedContexts({ context: { minVersion: 'TLSv1.2' }, ticketKeys: new TicketKeys() });
    const [a, b] = await makeLeaves();
    return await handshakesAreRight(shared, a, b, context);
  } catch {
    // Whatever goes wrong here would go wrong for a client.
    return false;
  }
}

async function handshakesAreRight(
  shared: Loader,
  a: ServedLeaf,
  b: ServedLeaf,
  context: Context,
): Promise<boolean> {
  // All four are connections before the first handshake runs.
  const first = [a, b, a, b].map(async (leaf) => visit(shared, leaf, undefined, context));
  const [seen] = await Promise.all(first);
  if (!(await Promise.all(first)).every(({ right }) => right) || !seen?.session) return false;
  const foreign = await visit(shared, b, seen.session, context);
  return foreign.right && !foreign.resumed;
}

/** Two leaves with keys of their own, of a CA that is thrown away: a CA's certificate may not sign handshakes. */
async function makeLeaves(): Promise<readonly [ServedLeaf, ServedLeaf]> {
  const { certificatePem, keyPem } = makeRoot('probe', Date.now());
  const fields = readCertificateFields(new X509Certificate(certificatePem).raw);
  const { subject, subjectKeyIdentifier = Buffer.alloc(20), notBefore, notAfter } = fields;
  const signer = localSigner(createPrivateKey(keyPem), 'ecdsa-p256-sha256');
  const minter = new Minter({ issuer: { subject, subjectKeyIdentifier, notBefore, notAfter, signer } });
  const make = async (host: string): Promise<ServedLeaf> => {
    const leaf = await minter.mint(certificateName(host));
    return { chainPem: leaf.certificatePem, privateKeyPem: leaf.privateKeyPem, sessionIdContext: host };
  };
  try {
    return [await make('a.invalid'), await make('b.invalid')];
  } finally {
    minter.close();
  }
}

interface Visit {
  /** Whether the client saw the leaf. Its handshake has proved the key. */
  readonly right: boolean;
  readonly resumed: boolean;
  readonly session: Buffer | undefined;
}

async function visit(
  shared: Loader,
  leaf: ServedLeaf,
  session: Buffer | undefined,
  context: Context,
): Promise<Visit> {
  const [near, far] = duplexPair();
  const secureContext = shared.load(leaf);
  if (!secureContext) throw new Error('such leaves are not served from one context');
  const server = new TLSSocket(far, { isServer: true, secureContext });
  // In TLS 1.2 the session is complete with the handshake.
  const client = connect({
    socket: near,
    rejectUnauthorized: false,
    maxVersion: 'TLSv1.2',
    ...(session && { session }),
  });
  try {
    server.on('error', (error) => client.destroy(error));
    await once(client, 'secureConnect', context);
    const peer = client.getPeerX509Certificate();
    const resumed = client.isSessionReused();
    const right = peer?.fingerprint256 === new X509Certificate(leaf.chainPem).fingerprint256;
    return { right, resumed, session: client.getSession() };
  } finally {
    client.destroy();
    server.destroy();
  }
}
