/** Finds out whether one context can serve every host: the setters are not documented, so handshakes tell. */
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import { type SecureContext, TLSSocket, connect } from 'node:tls';
import type { Bytes, Milliseconds } from '../base/bytes.js';
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
export async function sharedContextWorks(
  make: (chainPem: string) => Loader = (chainPem) =>
    new SharedContexts({ context: { minVersion: 'TLSv1.2' }, ticketKeys: new TicketKeys(), chainPem }),
): Promise<boolean> {
  using context = Context.background.withTimeout(patience);
  try {
    const material = await makeLeaves();
    return await handshakesAreRight(make(material.issuer.toString()), material, context);
  } catch {
    // Whatever goes wrong here would go wrong for a client.
    return false;
  }
}

async function handshakesAreRight(
  shared: Loader,
  { leaves: [a, b, c], issuer }: Material,
  context: Context,
): Promise<boolean> {
  // All are connections before the first handshake runs. The key stays, changes, and changes back.
  const first = await Promise.all(
    [a, b, c, a, b].map((leaf) => visit(shared, { leaf, issuer }, undefined, context)),
  );
  const [seen] = first;
  if (!first.every(({ right }) => right) || !seen?.session) return false;
  const foreign = await visit(shared, { leaf: b, issuer }, seen.session, context);
  // A chain that grew is not to be seen in what Node tells of the peer, only in the bytes: signatures vary by two.
  const bytes = [...first, foreign].map(({ received }) => received);
  const grew = Math.max(...bytes) - Math.min(...bytes) >= issuer.raw.length / 2;
  return foreign.right && !foreign.resumed && !grew;
}

interface Material {
  readonly leaves: readonly [ServedLeaf, ServedLeaf, ServedLeaf];
  /** What is to be sent after each of them. */
  readonly issuer: X509Certificate;
}

/**
 * Leaves of a CA that is thrown away (a CA's certificate may not sign handshakes): two with the same key, and one
 * with another.
 */
async function makeLeaves(): Promise<Material> {
  const { certificatePem, keyPem } = makeRoot('probe', Date.now());
  const issuer = new X509Certificate(certificatePem);
  const fields = readCertificateFields(issuer.raw);
  const { subject, subjectKeyIdentifier = Buffer.alloc(20), notBefore, notAfter } = fields;
  const signer = localSigner(createPrivateKey(keyPem), 'ecdsa-p256-sha256');
  const made = { subject, subjectKeyIdentifier, notBefore, notAfter, signer };
  const [one, other] = [new Minter({ issuer: made }), new Minter({ issuer: made })];
  const make = async (minter: Minter, host: string): Promise<ServedLeaf> => {
    const leaf = await minter.mint(certificateName(host));
    const { certificatePem: leafPem, privateKeyPem } = leaf;
    return { certificatePem: leafPem, privateKeyPem, sessionIdContext: host };
  };
  try {
    const [a, b] = [await make(one, 'a.invalid'), await make(one, 'b.invalid')];
    return { leaves: [a, b, await make(other, 'c.invalid')], issuer };
  } finally {
    one.close();
    other.close();
  }
}

interface Visit {
  /** Whether the client saw the leaf, and its issuer after it. The handshake has proved the key. */
  readonly right: boolean;
  /** How much the client was sent. */
  readonly received: Bytes;
  readonly resumed: boolean;
  readonly session: Buffer | undefined;
}

async function visit(
  shared: Loader,
  { leaf, issuer }: { readonly leaf: ServedLeaf; readonly issuer: X509Certificate },
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
  let received = 0;
  near.on('data', ({ length }: Buffer) => {
    received += length;
  });
  try {
    server.on('error', (error) => client.destroy(error));
    await once(client, 'secureConnect', context);
    const resumed = client.isSessionReused();
    const shown = client.getPeerCertificate(true);
    const right =
      shown.fingerprint256 === new X509Certificate(leaf.certificatePem).fingerprint256 &&
      shown.issuerCertificate?.fingerprint256 === issuer.fingerprint256;
    return { right, received, resumed, session: client.getSession() };
  } finally {
    client.destroy();
    server.destroy();
  }
}
