/**
 * `--workers N`: the primary. It serves no client: it starts the workers and starts them anew, hands their
 * lines and their warnings on, holds the store that they share where that is memory, and ends them.
 */
import { Listener } from '../listener/listener.js';
import type { Milliseconds } from '../base/bytes.js';
import { Context } from '../base/context.js';
import { Ledger } from '../base/ledger.js';
import { hostPort } from '../base/message.js';
import { type Authority, openAuthority } from '../certs/index.js';
import { isForOneOf } from '../certs/forgetting.js';
import { MemoryStore } from '../certs/memory-store.js';
import type { InspectableStore, StoreContext } from '../certs/store.js';
import { TicketKeys } from '../certs/ticket-keys.js';
import { type PurgedHosts, StoreDesk } from './certs-desk.js';
import { openSharedStore } from './certs-store.js';
import { wantsColor } from './colors.js';
import { openControl } from './control.js';
import { startLedgerLog } from './ledger-log.js';
import { notice } from './output.js';
import { proxyOptionsFrom } from './proxy-options.js';
import { announce } from './run-announce.js';
import { endLines, startLines } from './run-log.js';
import type { RunArguments } from './run-arguments.js';
import { announceDrain, untilSignal } from './run-end.js';
import { showReads } from './show-reads.js';
import { StoreNotices } from './store-notices.js';
import { addCounters, sumStores, withoutStore } from './workers-counters.js';
import { Crew } from './workers-crew.js';
import { sealedStore } from './workers-store.js';

/** How long tickets are sealed with the same keys. */
const ticketLifetime: Milliseconds = 12 * 3_600_000;

/** Resolves with the exit status when all workers have ended. Rejects with what kept them from starting. */
export async function runPrimary(typed: RunArguments): Promise<number> {
  const { caDir } = typed;
  // What is wrong with the command line is said once, and a CA is made once, before there are workers.
  await proxyOptionsFrom(typed);
  const ca = await openAuthority({ dir: caDir });
  const notices = new StoreNotices(notice);
  const store = await openStore(typed, {
    authority: ca.fingerprint256,
    sealer: ca.sealer,
    report: (report) => {
      notices.take(report, 'primary');
    },
  });
  const { stdout } = process;
  const lines = startLines(typed);
  const width = (): number | null => (stdout.isTTY ? stdout.columns : null);
  const where = await probe(typed);
  const ticketKeys = new TicketKeys({ lifetime: ticketLifetime });
  const crew = new Crew({
    size: typed.workers,
    start: () => ({
      port: where.port,
      color: wantsColor(typed.noColor, process.env, stdout.isTTY),
      width: width(),
      ticketKeys: ticketKeys.current.toString('base64'),
    }),
    drainTimeout: typed.drainTimeout,
    storeChoice: typed.store,
    store: typed.store.kind === 'memory' ? store : undefined,
    line: (line) => {
      lines.write(line);
    },
    notices,
  });
  const resized = (): void => {
    crew.tell({ kind: 'width', width: width() });
  };
  stdout.on('resize', resized);
  try {
    await crew.ready();
  } catch (error) {
    crew.kill();
    lines.close();
    await store.close();
    throw error;
  }
  const closeControl = await openControl({
    caDir,
    desk: makeDesk(typed, store, ca, crew),
    forget: (hosts) => forget(store, crew, hosts),
    counters: async () => {
      const { workers, all } = await crew.counters();
      // Generations are counted where the memory is that the workers share, hits where they are made.
      const own = typed.store.kind === 'memory' ? store.counters : undefined;
      const stores = all.map((one) => one.store).filter((counters) => counters !== undefined);
      return {
        workers,
        store: sumStores(stores, own),
        proxy: all.map(withoutStore).reduce(addCounters, undefined),
      };
    },
    unavailable: notice,
  });
  const endLedger = startLedgerLog(typed, {
    read: async () => (await crew.counters()).all,
    write: (line) => {
      lines.write(line);
    },
  });
  const rotation = Context.background.withCancel();
  const rotating = rotate(ticketKeys, crew, rotation);
  const ended = untilSignal(
    async (signal) => {
      crew.onDraining((running) => {
        announceDrain(running, signal, typed);
      });
      await crew.drain();
    },
    () => {
      crew.kill();
    },
  );
  announce({ ca, url: `http://${hostPort(where.address, where.port)}` }, typed);
  await ended;
  rotation.close();
  await rotating;
  stdout.off('resize', resized);
  await closeControl();
  await store.close();
  await endLedger();
  await endLines(lines);
  await showReads((await crew.counters()).all, typed);
  return 0;
}

/** Draws new keys for session tickets again and again, and gives them to all, until `context` closes. */
async function rotate(keys: TicketKeys, crew: Crew, context: Context): Promise<void> {
  for (;;) {
    try {
      await context.sleep(ticketLifetime);
    } catch (error) {
      if (context.closed) return;
      throw error;
    }
    crew.tell({ kind: 'ticket-keys', ticketKeys: keys.rotate().toString('base64') });
  }
}

async function openStore({ store }: RunArguments, context: StoreContext): Promise<InspectableStore> {
  if (store.kind === 'memory') return new MemoryStore({ report: context.report });
  // The workers open it too; here it is looked into, and what is wrong with it is said once.
  return await openSharedStore(store, context);
}

function makeDesk(typed: RunArguments, store: InspectableStore, ca: Authority, crew: Crew): StoreDesk {
  return new StoreDesk({
    store,
    authority: ca,
    leaves: typed,
    ...(typed.store.kind === 'memory' ? { fetchFrom: sealedStore(store, ca.sealer) } : {}),
    forget: (hosts) => forget(store, crew, hosts),
  });
}

/** What is in this process, first: the workers look for what they drop here. */
async function forget(store: InspectableStore, crew: Crew, hosts: PurgedHosts): Promise<void> {
  const isGone = isForOneOf(hosts === 'all' ? undefined : hosts);
  await store.forget?.(({ host }) => isGone(host));
  await crew.forget(hosts);
}

/**
 * Where the workers are to listen: a port that is taken is found here, and a free one is the same for all,
 * and for those that are started later when none of the first is left to share it.
 */
async function probe({
  host,
  port,
}: RunArguments): Promise<{ readonly address: string; readonly port: number }> {
  const listener = new Listener({
    context: Context.background,
    ledger: new Ledger(),
    limit: 1,
    onConnection: (socket) => {
      socket.destroy();
    },
    onFailure: ({ detail }) => {
      notice(detail);
    },
  });
  const where = await listener.listen({ host, port });
  await listener.stop();
  return where;
}
