/** `sallyport run`: a proxy until a signal. */
import cluster from 'node:cluster';
import { SallyportError } from '../base/errors.js';
import type { InspectableStore } from '../certs/store.js';
import { createProxy, type Proxy } from '../proxy/proxy.js';
import { enterAllocator } from './allocator-launch.js';
import { type PurgedHosts, StoreDesk } from './certs-desk.js';
import { openProxyStore } from './certs-store.js';
import { wantsColor } from './colors.js';
import { openControl } from './control.js';
import { ExchangeLog } from './exchange-log.js';
import { boundHeapGrowth } from './heap-growth.js';
import { startLedgerLog } from './ledger-log.js';
import { notice } from './output.js';
import { proxyOptionsFrom } from './proxy-options.js';
import { announce } from './run-announce.js';
import type { RunArguments } from './run-arguments.js';
import { announceDrain, untilSignal } from './run-end.js';
import { endLines, endLog, startLines } from './run-log.js';
import { showReads } from './show-reads.js';
import { StoreNotices } from './store-notices.js';
import { sumStores, withoutStore } from './workers-counters.js';

/** Resolves with the exit status when the proxy has ended. Rejects with what kept it from starting. */
export async function run(typed: RunArguments): Promise<number> {
  refuseUnavailable(typed);
  // Workers have the allocator by their environment, from the primary.
  if (!cluster.isWorker) {
    const status = await enterAllocator(typed.allocator);
    if (status !== undefined) return status;
  }
  if (typed.workers > 1 && !cluster.isWorker) return await (await import('./workers.js')).runPrimary(typed);
  const unbound = boundHeapGrowth();
  try {
    if (!cluster.isWorker) return await runAlone(typed);
    return await (await import('./workers-worker.js')).runWorker(typed);
  } finally {
    unbound();
  }
}

async function runAlone(typed: RunArguments): Promise<number> {
  const { host, port, drainTimeout } = typed;
  const options = await proxyOptionsFrom(typed);
  let opened: InspectableStore | undefined;
  const proxy = createProxy({
    ...options,
    host,
    port,
    drainTimeout,
    readBufferSize: typed.readBufferSize,
    store: async (context) => (opened = await openProxyStore(typed.store, context)),
  });
  const notices = new StoreNotices(notice);
  proxy.on('store.report', (report) => {
    notices.take(report);
  });
  const log = typed.quiet ? undefined : startLog(proxy, typed);
  try {
    await proxy.listen();
  } catch (error) {
    log?.stop();
    log?.writer.close();
    await proxy.close();
    throw error;
  }
  const closeControl = opened && (await openAloneControl(proxy, opened, typed));
  // Also where exchanges are not logged: it was asked for by name.
  const lines = typed.ledgerEvery !== 'off' && !log ? startLines(typed) : undefined;
  const endLedger = startLedgerLog(typed, {
    read: () => [proxy.counters()],
    write: (line) => {
      (log?.writer ?? lines)?.write(line);
    },
  });
  const ended = untilSignal(async (signal) => {
    const closed = proxy.close({ drainTimeout });
    const ledger = proxy.ledger();
    announceDrain(ledger.exchanges.outstanding + ledger.tunnels.outstanding, signal, typed);
    await closed;
  });
  // After the handlers are there: whoever reads that we listen may send a signal at once.
  announce(proxy, typed);
  await ended;
  await closeControl?.();
  await endLedger();
  if (log) await endLog(log);
  if (lines) await endLines(lines);
  await showReads([proxy.counters()], typed);
  return 0;
}

/** The control socket of a proxy that is alone; what comes back closes it. */
async function openAloneControl(
  proxy: Proxy,
  store: InspectableStore,
  typed: RunArguments,
): Promise<() => Promise<void>> {
  const { caDir } = typed;
  const forget = async (hosts: PurgedHosts): Promise<void> => {
    await proxy.forgetCertificates(hosts === 'all' ? undefined : hosts);
  };
  return await openControl({
    caDir,
    desk: new StoreDesk({ store, authority: proxy.ca, leaves: typed, forget }),
    forget,
    counters: () => ({
      workers: 1,
      store: sumStores([store.counters], undefined),
      proxy: withoutStore(proxy.counters()),
    }),
    unavailable: notice,
  });
}

/** What the command line can already say, but this version cannot do. */
function refuseUnavailable({ uiPort }: RunArguments): void {
  if (uiPort === 'off') return;
  throw new SallyportError('ERR_OPTION_UNAVAILABLE', '--ui-port: this version has no dashboard');
}

function startLog(proxy: Proxy, { logFormat, noColor }: RunArguments): ExchangeLog {
  const { stdout } = process;
  return new ExchangeLog(proxy, stdout, {
    format: logFormat,
    color: wantsColor(noColor, process.env, stdout.isTTY),
    width: () => (stdout.isTTY ? stdout.columns : undefined),
    onFailure: (error) => {
      notice(`stdout cannot be written (${error.message}); the proxy goes on without exchange lines`);
    },
  });
}
