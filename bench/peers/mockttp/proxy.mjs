/**
 * mockttp set up to pass everything through, with the recording of traffic off. It trusts the origin by
 * NODE_EXTRA_CA_CERTS: with its own option for that it hands Node the whole list of roots for each connection.
 *
 *   NODE_EXTRA_CA_CERTS=UPSTREAM_CA.pem node proxy.mjs CA_OUT.pem
 */
import { writeFileSync } from 'node:fs';
import { generateCACertificate, getLocal } from 'mockttp';

const [caOut = ''] = process.argv.slice(2);
const https = await generateCACertificate();
writeFileSync(caOut, https.cert);
const server = getLocal({ https, recordTraffic: false, http2: false });
await server.start();
await server.forUnmatchedRequest().thenPassThrough();

process.on('SIGTERM', () => process.exit(0));
console.log(`listening on http://127.0.0.1:${server.port}`);
