/** `sallyport certs …`: look at the certificates of a store, remove some, have some made ahead. */
import { SallyportError } from '../base/errors.js';
import type { StoreEntry, StoreReport } from '../certs/store.js';
import { openExistingAuthority } from './ca.js';
import { type Desk, hostOf, isFor, type PurgedHosts, type Selector, StoreDesk } from './certs-desk.js';
import {
  certificateRecord,
  entryRecord,
  formatEntry,
  formatList,
  formatPurged,
  formatStats,
  formatWarmed,
  sorted,
} from './certs-format.js';
import { openSharedStore } from './certs-store.js';
import type { commands } from './commands.js';
import { findControl, forgetInProxies } from './control-client.js';
import type { OptionValues } from './options.js';
import { notice, print } from './output.js';
import { describeReport } from './store-notices.js';
import { safeJson } from './text.js';

type Arguments<N extends keyof typeof commands> = OptionValues<(typeof commands)[N]['options']>;
type Where = Pick<Arguments<'certs list'>, 'store' | 'caDir' | 'pid'>;

export async function certsList(typed: Arguments<'certs list'>): Promise<number> {
  const entries = await withDesk(typed, async (desk) => sorted(await collect(desk)));
  if (typed.json) await print(`${safeJson({ certificates: entries.map(entryRecord) })}\n`);
  else await print(`${formatList(entries, Date.now())}\n`);
  return 0;
}

/** Rejects with `ERR_CERTIFICATE_MISSING` when the store has nothing for the host. */
export async function certsShow(
  typed: Arguments<'certs show'>,
  operands: readonly string[],
): Promise<number> {
  const [operand, ...more] = operands;
  if (operand === undefined || more.length > 0) {
    throw new SallyportError('ERR_OPTION_VALUE', 'certs show takes one host: sallyport certs show HOST');
  }
  const host = typedHost(operand);
  const entries = await withDesk(typed, async (desk) =>
    sorted((await collect(desk)).filter(({ key }) => isFor(key, host))),
  );
  if (entries.length === 0) {
    throw new SallyportError('ERR_CERTIFICATE_MISSING', `the store has no certificate for ${host}`);
  }
  if (typed.json) await print(`${safeJson({ certificates: entries.map(certificateRecord) })}\n`);
  else if (typed.pem) await print(entries.map(({ certificatePem = '' }) => certificatePem).join(''));
  else await print(`${entries.map((entry) => formatEntry(entry, Date.now(), host)).join('\n\n')}\n`);
  return 0;
}

export async function certsPurge(typed: Arguments<'certs purge'>): Promise<number> {
  const selector = selectorFrom(typed);
  const purged = await withDesk(typed, (desk) => desk.purge(selector));
  if (typed.json) await print(`${safeJson(purged)}\n`);
  else await print(`${formatPurged(purged)}\n`);
  return 0;
}

/** Resolves with 1 when one host failed; what is wrong with it is in the output. */
export async function certsWarm(
  typed: Arguments<'certs warm'>,
  operands: readonly string[],
): Promise<number> {
  if (operands.length === 0) {
    throw new SallyportError('ERR_OPTION_VALUE', 'certs warm needs hosts: sallyport certs warm HOST …');
  }
  const warmed = await withDesk(typed, (desk) =>
    desk.warm(operands, {
      leafProfile: typed.leafProfile,
      ...(typed.wildcardLeaves && { wildcardLeaves: true }),
    }),
  );
  if (typed.json) await print(`${safeJson({ hosts: warmed })}\n`);
  else await print(`${formatWarmed(warmed, Date.now())}\n`);
  return warmed.some(({ outcome }) => outcome === 'failed') ? 1 : 0;
}

/** What the store holds, and what the running proxy counted, if there is one. */
export async function certsStats(typed: Arguments<'certs stats'>): Promise<number> {
  const stats = await withDesk(typed, (desk) => desk.stats());
  const running = await findControl(typed);
  const proxy = running ? await running.counters() : undefined;
  if (typed.json) await print(`${safeJson({ ...stats, proxy: proxy ?? null })}\n`);
  else await print(`${formatStats(stats, proxy)}\n`);
  return 0;
}

/**
 * Works on the store itself where it can be shared, and through the running proxy where it is in its memory.
 */
async function withDesk<T>(typed: Where, work: (desk: Desk) => Promise<T>): Promise<T> {
  const { store: choice, caDir } = typed;
  if (choice.kind === 'memory') {
    const running = await findControl(typed);
    if (running) return await work(running);
    throw new SallyportError(
      'ERR_CONTROL',
      `no proxy runs with the CA in ${caDir}, and --store memory is the memory of one`,
    );
  }
  const authority = await openExistingAuthority(caDir);
  const { fingerprint256, sealer } = authority;
  const report = (one: StoreReport): void => {
    notice(describeReport(one));
  };
  const store = await openSharedStore(choice, { authority: fingerprint256, sealer, report });
  try {
    const told = new Set<string>();
    const forget = async (hosts: PurgedHosts): Promise<void> => {
      for (const problem of await forgetInProxies(caDir, hosts)) {
        if (!told.has(problem)) notice(`WARNING: a proxy may go on with what it has at hand: ${problem}`);
        told.add(problem);
      }
    };
    return await work(new StoreDesk({ store, authority, forget }));
  } finally {
    await store.close();
  }
}

async function collect(desk: Desk): Promise<StoreEntry[]> {
  const entries: StoreEntry[] = [];
  for await (const entry of desk.entries()) entries.push(entry);
  return entries;
}

function selectorFrom({ expired, host, all }: Arguments<'certs purge'>): Selector {
  const given: Selector[] = [
    ...(expired ? [{ kind: 'expired' } as const] : []),
    ...(host === undefined ? [] : [{ kind: 'host', host: typedHost(host) } as const]),
    ...(all ? [{ kind: 'all' } as const] : []),
  ];
  const [selector] = given;
  if (selector === undefined || given.length > 1) {
    throw new SallyportError('ERR_OPTION_VALUE', 'certs purge takes one of --expired, --host HOST and --all');
  }
  return selector;
}

function typedHost(text: string): string {
  try {
    return hostOf(text);
  } catch (error) {
    throw new SallyportError('ERR_OPTION_VALUE', `'${text.slice(0, 80)}' is not a host`, { cause: error });
  }
}
