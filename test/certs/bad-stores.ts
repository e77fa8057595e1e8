/** Stores whose faults come of keys that are taken for one another, each with a word of the case that catches it. */
import { MemoryStore } from '../../src/certs/memory-store.js';
import type {
  CertificateKey,
  CertificateStore,
  FetchOptions,
  Generate,
  LeafMaterial,
} from '../../src/certs/store.js';

type Fetch = (
  inner: MemoryStore,
  key: CertificateKey,
  generate: Generate,
  options?: FetchOptions,
) => LeafMaterial | Promise<LeafMaterial>;

interface BadStore {
  readonly culprit: string;
  /** Makes the fetch of one store. */
  readonly make: () => Fetch;
}

/** A store that finds an entry for `host` by what `rename` makes of it. */
function renaming(culprit: string, rename: (host: string) => string): BadStore {
  const fetch: Fetch = (inner, key, generate, options) =>
    inner.fetch({ ...key, host: rename(key.host) }, generate, options);
  return { culprit, make: () => fetch };
}

export const badStores: Readonly<Record<string, BadStore>> = {
  'cuts hosts at 32 characters': renaming('hosts of 253', (host) => host.slice(0, 32)),
  'cuts hosts at 252 characters': renaming('hosts of 253', (host) => host.slice(0, 252)),
  'forgets what is mirrored': renaming('what mirrors its origin', (host) => host.split('/')[0] ?? ''),
  'cuts the digest': renaming('what mirrors its origin', (host) => host.slice(0, 40)),
  'folds all that is no letter': renaming('differ in a separator', (host) =>
    host.replaceAll(/[^a-z0-9.*]/g, '_'),
  ),
  'folds the slash and the colon': renaming('what mirrors its origin', (host) =>
    host.replaceAll(/[/:]/g, '_'),
  ),
  'folds the star': renaming('differ in a separator', (host) => host.replace('*', '_')),
  'folds colons': renaming('addresses', (host) => host.replaceAll(':', '-')),
  'splits at colons': renaming('addresses', (host) =>
    host.includes('/') ? host : (host.split(':')[0] ?? ''),
  ),
  'has one lock for all': {
    culprit: 'holds up no other',
    make: () => {
      let tail: Promise<unknown> = Promise.resolve();
      return (inner, key, generate, options) =>
        inner.fetch(
          key,
          (given) => {
            const made = tail.then(() => generate(given));
            tail = made.catch(() => undefined);
            return made;
          },
          options,
        );
    },
  },
  'fails all for one': {
    culprit: 'holds up no other',
    make: () => {
      let failed: { readonly host: string; readonly error: unknown } | undefined;
      return (inner, key, generate, options) => {
        if (failed && failed.host !== key.host) throw failed.error;
        const remembering: Generate = async (given) => {
          try {
            return await generate(given);
          } catch (error) {
            failed = { host: key.host, error };
            throw error;
          }
        };
        return inner.fetch(key, remembering, options);
      };
    },
  },
  'leaves a listener for each fetch': {
    culprit: "left on a caller's signal",
    make: () => (inner, key, generate, options) => {
      options?.signal?.addEventListener('abort', () => undefined);
      return inner.fetch(key, generate, options);
    },
  },
};

export function openBadStore({ make }: BadStore, now: () => number): CertificateStore {
  const inner = new MemoryStore({ now });
  const fetch = make();
  return {
    fetch: (key, generate, options) => fetch(inner, key, generate, options),
    close: () => {
      inner.close();
    },
  };
}
