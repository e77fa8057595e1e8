/** One secure context, and one set of sessions, for all connections that are made with equal options. */
import { createHash } from 'node:crypto';
import tls from 'node:tls';
import type { Bytes } from '../base/bytes.js';
import { ReadMemory } from '../base/read-memory.js';
import { SessionCache } from './session-cache.js';

/** What `connectTls` needs of a policy; a `TrustContext` is one. */
export interface ClientTrust {
  readonly secureContext: tls.SecureContext;
  readonly sessions: SessionCache;
  /** Whether certificates are verified, where `rejectUnauthorized` does not say so. */
  readonly verify?: boolean;
}

/** The options of `tls.createSecureContext`, and whether the certificate must be right. */
const contextOptions = [
  'ALPNCallback',
  'allowPartialTrustChain',
  'ca',
  'cert',
  'ciphers',
  'clientCertEngine',
  'crl',
  'dhparam',
  'ecdhCurve',
  'honorCipherOrder',
  'key',
  'maxVersion',
  'minVersion',
  'passphrase',
  'pfx',
  'privateKeyEngine',
  'privateKeyIdentifier',
  'rejectUnauthorized',
  'secureOptions',
  'secureProtocol',
  'sessionIdContext',
  'sessionTimeout',
  'sigalgs',
] as const;

/** More policies than a program has; the least recently used goes. */
const mostPolicies = 64;
const mostSizes = 8;

export class ClientTrusts {
  readonly #trusts = new Map<string, ClientTrust>();
  readonly #memories = new Map<Bytes, ReadMemory>();

  /** Throws what `tls.createSecureContext` throws. */
  get(options: tls.ConnectionOptions): ClientTrust {
    const id = policyId(options);
    const trust = this.#trusts.get(id) ?? {
      secureContext: tls.createSecureContext(options),
      sessions: new SessionCache(1000),
    };
    keep(this.#trusts, id, trust, mostPolicies);
    return trust;
  }

  /** One piece of memory for all connections with reads of this size. Throws `ERR_OPTION_VALUE`. */
  memory(size: Bytes): ReadMemory {
    const memory = this.#memories.get(size) ?? new ReadMemory(size);
    keep(this.#memories, size, memory, mostSizes);
    return memory;
  }
}

function keep<K, V>(map: Map<K, V>, key: K, value: V, limit: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= limit) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    break;
  }
}

function policyId(options: tls.ConnectionOptions): string {
  const given = options as Readonly<Record<string, unknown>>;
  const set = contextOptions.filter((name) => given[name] !== undefined);
  if (set.length === 0) return '';
  const text = JSON.stringify(set.map((name) => [name, given[name]]));
  return createHash('sha256').update(text).digest('base64url');
}
