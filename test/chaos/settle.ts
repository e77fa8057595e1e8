/** Waits until the ledgers are at rest, and says what is not. */
import { sharedKinds } from '../../src/base/ledger.js';
import type { LedgerLines, Proxy } from '../../src/index.js';
import { collectGarbage } from '../support/garbage.js';

/** Kept on purpose while a proxy is open: the certificates of hosts, which are bounded. */
const kept: readonly string[] = ['identities', 'secureContexts'];

const patience = 15_000;

/**
 * Lines of what is open or leaked beyond `before`, the ledgers of the idle proxies (`undefined`: they are closed, and
 * nothing may be), and of connections at the origins, after all had the time to end. Looks again and again: what ends does so by its deadline.
 */
export async function settle(
  proxies: readonly Proxy[],
  before: readonly LedgerLines[] | undefined,
  origins: { readonly connections: number },
): Promise<string[]> {
  const look = (): string[] => [
    ...proxies.flatMap((proxy, index) => excess(proxy.ledger(), before?.[index])),
    ...(origins.connections > 0 ? [`${origins.connections} connections at the origins`] : []),
  ];
  const end = Date.now() + patience;
  while (look().length > 0 && Date.now() < end) {
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
  // What was dropped without being closed counts as leaked when it is collected, and finalizers have run.
  for (let turn = 0; turn < 2; turn += 1) {
    collectGarbage();
    await new Promise(setImmediate);
  }
  return look();
}

function excess(now: LedgerLines, before: LedgerLines | undefined): string[] {
  return Object.entries(now).flatMap(([kind, { outstanding, leaked }]) => {
    const isShared = sharedKinds.some((shared) => shared === kind);
    if (isShared || (before && kept.includes(kind))) return [];
    const base = before?.[kind as keyof LedgerLines].outstanding ?? 0;
    const lines = outstanding > base ? [`${kind}: ${outstanding - base} outstanding`] : [];
    return leaked > 0 ? [...lines, `${kind}: ${leaked} leaked`] : lines;
  });
}
