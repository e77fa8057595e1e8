/**
 * `npm run bench -- --modes hosts`: very many hosts, each visited once (CONNECT, a full handshake, and gone). What is
 * kept of them has to stay within its bounds, and the last must not cost more than the first.
 */
import { writeFileSync } from 'node:fs';
import { environment } from './lib/environment.mjs';
import { clientContext, Connection } from './lib/client.mjs';
import { treeCpu, treeRss } from './lib/proc.mjs';
import { Rig } from './lib/rig.mjs';
import { sallyport } from './peers/sallyport.mjs';

/** How many parts the visits are reported in. */
const PARTS = 10;

/** @param {import('./lib/options.mjs').Options} options @param {string} root @param {readonly string[]} args */
export async function manyHosts(options, root, args) {
  const about = environment(args, root);
  const rig = await Rig.build({ ...options, hosts: 1, rounds: 1 });
  const proxy = await rig.start(sallyport, { node: options.node, root });
  const url = new URL(proxy.proxyUrl ?? '');
  const target = { host: url.hostname, port: Number(url.port), tunnel: true, caPem: proxy.caPem };
  const context = clientContext(target);
  let next = 0;
  /** @param {number} end */
  const visit = async (end) => {
    while (next < end) {
      const host = `h${next}.many.example`;
      next += 1;
      (await Connection.open(target, context, host, 443)).destroy();
    }
  };
  const rows = [];
  const rssAtStart = treeRss(proxy.pid);
  for (let part = 1; part <= PARTS; part += 1) {
    const cpu = treeCpu(proxy.pid);
    const first = next;
    const end = Math.round((options.many * part) / PARTS);
    await Promise.all(Array.from({ length: options.clients }, () => visit(end)));
    rows.push({
      hosts: next,
      cost: (treeCpu(proxy.pid) - cpu) / (next - first),
      grown: (treeRss(proxy.pid) - rssAtStart) / 2 ** 20,
    });
  }
  await proxy.stop();
  rig.close();
  console.log(`| hosts so far | CPU ms/host | RSS grown by, MiB |\n| --: | --: | --: |`);
  for (const { hosts, cost, grown } of rows) {
    console.log(`| ${hosts} | ${cost.toFixed(2)} | ${grown.toFixed(0)} |`);
  }
  console.log(
    `\nat the start ${(rssAtStart / 2 ** 20).toFixed(0)} MiB\n${about.command}\n` +
      `${about.date}, commit ${about.commit}, load ${about.load.join(' ')}\n${about.cpu}, ${about.system}`,
  );
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify({ environment: about, options, rows }, undefined, 2)}\n`);
  }
}
