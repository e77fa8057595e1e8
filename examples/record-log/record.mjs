/** A proxy that writes a JSON line for every exchange into a file, and sums them up at its end. */
import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { createProxy } from 'sallyport';

const [, , file] = process.argv;
if (file === undefined) {
  console.error('usage: record.mjs FILE');
  process.exit(1);
}

const log = createWriteStream(file, { flags: 'a' });
/** @type {Map<string, { exchanges: number, errors: number, bytes: number, slowest: number }>} */
const hosts = new Map();

const proxy = createProxy();
proxy.on(
  'exchange.end',
  ({ method, url, status, requestBytes, responseBytes, started, duration, server, error }) => {
    const line = {
      time: new Date(started).toISOString(),
      method,
      url,
      status,
      requestBytes,
      responseBytes,
      ms: Math.round(duration * 10) / 10,
      tls: server?.tls?.version,
      reused: server?.reused,
      error: error?.code,
    };
    log.write(`${JSON.stringify(line)}\n`);

    const { host } = new URL(url);
    const sum = hosts.get(host) ?? { exchanges: 0, errors: 0, bytes: 0, slowest: 0 };
    sum.exchanges += 1;
    sum.errors += error ? 1 : 0;
    sum.bytes += responseBytes;
    sum.slowest = Math.max(sum.slowest, line.ms);
    hosts.set(host, sum);
  },
);

await proxy.listen();
console.log(`recording ${proxy.url} to ${file}`);

async function end() {
  // Resolves when all that ran has ended: no line comes after it.
  await proxy.close();
  log.end();
  await finished(log);
  console.table(Object.fromEntries(hosts));
}

process.once('SIGINT', () => void end());
process.once('SIGTERM', () => void end());
