/**
 * What the client's side of a process's TLS connections takes: how many secure contexts they use, and how often the
 * same root was parsed into those. It watches Node's own objects, whoever makes them and how.
 */
import { createHash } from 'node:crypto';
import tls from 'node:tls';

/** @param {'contexts' | 'roots'} kind @returns {import('./probe.mjs').Counter} */
export function contextsCounter(kind) {
  /** The roots that each context was given, by digest. @type {WeakMap<object, string[]>} */
  const rootsOf = new WeakMap();
  /** Contexts made so far, of servers and clients. */
  let made = 0;
  let connections = 0;
  /** Those that connections have used since `begin`. @type {Set<object>} */
  const used = new Set();

  const prototype = Object.getPrototypeOf(tls.createSecureContext().context);
  watch(prototype, 'init', (context) => {
    made += 1;
    rootsOf.set(context, []);
  });
  watch(prototype, 'addRootCerts', (context) => rootsOf.get(context)?.push('the bundled ones'));
  watch(prototype, 'addCACert', (context, [pem]) => {
    rootsOf.get(context)?.push(createHash('sha256').update(pem).digest('base64'));
  });
  // Where a socket becomes one of TLS, by `tls.connect` or without.
  watch(tls.TLSSocket.prototype, '_wrapHandle', (socket) => {
    const { isServer, secureContext } = socket._tlsOptions;
    if (isServer) return;
    connections += 1;
    // Without one it makes its own at once, which then counts by itself.
    used.add(secureContext?.context ?? {});
  });

  tls.createSecureContext();
  if (made !== 1) throw new Error(`does not see the contexts of Node ${process.version}`);
  let madeBefore = 0;
  return {
    begin: () => {
      used.clear();
      connections = 0;
      madeBefore = made;
    },
    end: () => {
      /** @type {Map<string, number>} */
      const times = new Map();
      for (const context of used) {
        for (const root of rootsOf.get(context) ?? []) times.set(root, (times.get(root) ?? 0) + 1);
      }
      const contexts = used.size;
      const roots = Math.max(0, ...times.values());
      const count = { contexts, roots }[kind];
      return {
        count,
        connections,
        contexts,
        roots,
        distinctRoots: times.size,
        madeMeanwhile: made - madeBefore,
      };
    },
  };
}

/** @param {any} object @param {string} name @param {(self: any, args: any[]) => void} note */
function watch(object, name, note) {
  const original = object[name];
  if (typeof original !== 'function') throw new Error(`there is no ${name} in Node ${process.version}`);
  object[name] = function watched(/** @type {any[]} */ ...args) {
    note(this, args);
    return original.apply(this, args);
  };
}
