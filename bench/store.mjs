/** `npm run bench -- --modes store`: the experiment of `modes/store.mjs` with each of `peers/store.mjs`. */
import { writeFileSync } from 'node:fs';
import { environment } from './lib/environment.mjs';
import { Rig } from './lib/rig.mjs';
import { STORE_PEERS } from './peers/store.mjs';

/** How many hosts share the connections. */
const HOSTS = 20;

/** @param {import('./lib/options.mjs').Options} options @param {string} root @param {readonly string[]} args */
export async function storeExperiment(options, root, args) {
  const about = environment(args, root);
  const host = { node: options.node, root };
  const rig = await Rig.build({ ...options, hosts: HOSTS, rounds: STORE_PEERS.length });
  const rows = [];
  for (const [index, peer] of STORE_PEERS.entries()) {
    const absent = await peer.available(host);
    if (absent !== undefined) {
      rows.push({ peer: peer.name, absent });
      continue;
    }
    const proxy = await rig.start(peer, host, { newHosts: true });
    try {
      const work = { hosts: HOSTS, firstHost: index * HOSTS, rate: options.rate, seconds: options.seconds };
      rows.push({ peer: peer.name, ...(await rig.offer(proxy, work)) });
    } finally {
      await proxy.stop();
    }
  }
  rig.close();
  console.log(
    `${options.rate} new connections/s to ${HOSTS} hosts for ${options.seconds} s (open loop), RSA-2048 leaves\n\n` +
      '| proxy | offered | succeeded | mean ms | p50 ms | p99 ms | CPU s |\n' +
      '| --- | --: | --: | --: | --: | --: | --: |',
  );
  for (const row of rows) {
    if ('absent' in row) console.log(`| ${row.peer} | absent: ${row.absent} |`);
    else {
      const share = ((100 * row.succeeded) / row.offered).toFixed(2);
      const [mean, p50, p99] = [row.mean, row.p50, row.p99].map((value) => value.toFixed(1));
      const cpu = (row.cpu / 1000).toFixed(1);
      console.log(`| ${row.peer} | ${row.offered} | ${share} % | ${mean} | ${p50} | ${p99} | ${cpu} |`);
      for (const reason of row.reasons) console.log(`|   | | ${reason} |`);
    }
  }
  console.log(
    '\nmean, p50, p99: of connections that began after the first second and succeeded within 30 s.\n' +
      `${about.command}\n${about.date}, commit ${about.commit}, load ${about.load.join(' ')}\n` +
      `${about.cpu}, ${about.memory}, ${about.system}`,
  );
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify({ environment: about, options, rows }, undefined, 2)}\n`);
  }
}
