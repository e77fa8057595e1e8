/**
 * What is promised of sallyport, in one place. A cost is in the unit of its mode; with `than` it is the median of the
 * ratios to that peer within each round, with `thanMode` to sallyport's own cost in another mode.
 *
 * @typedef {object} Target
 * @property {string} mode
 * @property {string} [than] a peer
 * @property {string} [thanMode] a mode
 * @property {number} most
 * @property {number} [node] the major version of Node that it is promised for; otherwise any
 */

/** @type {readonly Target[]} */
export const TARGETS = [
  { mode: 'keepalive', than: 'goproxy', most: 0.45, node: 24 },
  { mode: 'keepalive', than: 'mockttp', most: 0.13, node: 24 },
  { mode: 'keepalive', than: 'haproxy', most: 2, node: 24 },
  { mode: 'fresh', than: 'goproxy', most: 1, node: 24 },
  { mode: 'fresh', than: 'mockttp', most: 0.12, node: 24 },
  { mode: 'cold', than: 'goproxy', most: 1, node: 24 },
  { mode: 'cold', than: 'mockttp', most: 0.2, node: 24 },
  { mode: 'cold', than: 'goproxy-rsa', most: 1 / 40, node: 24 },
  { mode: 'resumed', thanMode: 'fresh', most: 0.6, node: 24 },
  ...['bulk', 'upload'].flatMap((mode) => [
    { mode, than: 'goproxy', most: 1, node: 24 },
    { mode, than: 'nginx', most: 1.1, node: 24 },
    { mode, than: 'mockttp', most: 0.35, node: 24 },
  ]),
  { mode: 'idle', most: 26, node: 20 },
  { mode: 'idle', most: 31, node: 24 },
  { mode: 'idle', than: 'goproxy', most: 0.85, node: 20 },
  { mode: 'idle', than: 'goproxy', most: 1, node: 24 },
  { mode: 'held', most: 60, node: 20 },
  { mode: 'held', most: 75, node: 24 },
  { mode: 'held', than: 'goproxy', most: 0.7, node: 20 },
  { mode: 'slow', most: 64 },
  { mode: 'bursts', most: 1.1 },
  { mode: 'contexts', most: 1 },
  { mode: 'roots', most: 1 },
];

/** echo.mjs. KiB of RSS a connection, and the ratio to `tls.createServer`. @type {readonly Target[]} */
export const ECHO_TARGETS = [
  ...['hello, 200 clients', 'hello, 5000 clients'].flatMap((mode) => [
    { mode, most: 25, node: 20 },
    { mode, most: 31, node: 24 },
    { mode, than: 'node', most: 0.75 },
  ]),
  ...['after 256 KiB, 200 clients', 'after 256 KiB, 5000 clients'].map((mode) => ({ mode, most: 35 })),
];

/** reads.mjs. @type {readonly (Target & { least?: true })[]} `least`: at least `most`, then */
export const READS_TARGETS = [
  { mode: 'share of bytes in reads from 256 KiB, at 1MiB', most: 0.9, least: true },
  { mode: 'reads at 1MiB over those at 64KiB', most: 0.25 },
  { mode: 'CPU a GB at 1MiB over that at 64KiB', most: 1 },
  { mode: 'histogram beside strace, difference', most: 0.05 },
];
