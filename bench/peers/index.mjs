/** The peers by name. A new one is a file like the others here, and a line in this one. */
import { goproxy } from './goproxy.mjs';
import { haproxy } from './haproxy.mjs';
import { mitmproxy } from './mitmproxy.mjs';
import { mockttp } from './mockttp.mjs';
import { nginx } from './nginx.mjs';
import { plain } from './plain.mjs';
import { raw } from './raw.mjs';
import { sallyport } from './sallyport.mjs';
import { goproxyRsa } from './store.mjs';

/**
 * @typedef {object} Peer
 * @property {string} name
 * @property {string} about what it is, in a few words
 * @property {readonly string[]} [modes] the only ones that make sense for it
 * @property {boolean} [onNode] whether it runs on Node and takes `nodeArgs`, so that it can be looked into
 * @property {(host: Host) => Promise<string | undefined> | string | undefined} available why it cannot run here, if so
 * @property {(host: Host) => Promise<string> | string} version
 * @property {(setup: Setup) => Promise<Running>} start
 */

/**
 * @typedef {object} Host
 * @property {string} node the Node executable for the peers that need one
 * @property {string} root the project's directory
 */

/**
 * @typedef {object} Setup
 * @property {Host} host
 * @property {string} dir an empty directory of this instance's own
 * @property {string} upstreamCa file: what signed the origin's certificate
 * @property {string} caCert file: an authority for the peers that do not make their own
 * @property {string} caKey file
 * @property {string} leafCert file: a certificate for localhost, for the peers that do not mint
 * @property {string} leafKey file
 * @property {number} originPort the origin is localhost at this port
 * @property {readonly string[]} nodeArgs flags for Node, in the peers that run on it
 * @property {(command: string, args: readonly string[], options: { ready: RegExp | number, env?: Record<string, string> }) =>
 *   Promise<import('../lib/launch.mjs').Launched>} launch
 */

/**
 * @typedef {object} Running
 * @property {number} pid the root of the process tree that is measured
 * @property {string} [proxyUrl] where clients send CONNECT
 * @property {string} [targetUrl] where clients connect to directly instead
 * @property {string} caPem what the client must trust
 * @property {() => Promise<void>} stop
 */

/** @type {readonly Peer[]} */
export const PEERS = [sallyport, plain, raw, mockttp, mitmproxy, haproxy, nginx, goproxy, goproxyRsa];

/** Peers that are measured when none are named. */
export const DEFAULT_PEERS = ['sallyport', 'plain', 'raw', 'mockttp'];
