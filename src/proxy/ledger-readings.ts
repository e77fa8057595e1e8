/** What the ledger of a proxy reads when somebody looks: of those that count for themselves. */
import type { Context } from '../base/context.js';
import type { Ledger } from '../base/ledger.js';
import { readContexts, readDeadlines } from '../base/ledger-process.js';
import type { Identities } from '../certs/index.js';
import { internHoldings } from '../certs/intern.js';

/** `context`: the proxy's root. `identities`: until they are closed, which drops them all. */
export function provideReadings(ledger: Ledger, context: Context, identities: Identities): void {
  ledger.provide('contexts', () => readContexts(context));
  ledger.provide('deadlines', readDeadlines);
  ledger.provide('internedCertificates', internHoldings);
  ledger.provide('identities', () => {
    const { made, size } = identities.counters;
    return { created: made, outstanding: size, oldestMs: identities.held.oldestMs };
  });
  ledger.provide('secureContexts', () => {
    const { contexts, oldestContextMs } = identities.held;
    return { created: identities.contexts.made, outstanding: contexts, oldestMs: oldestContextMs };
  });
}
