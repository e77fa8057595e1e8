/** What the peers' files share: asking programs for their versions, and the line that says a proxy is ready. */
import { execFileSync } from 'node:child_process';

/** What our own programs and sallyport print on stdout when they can be used. */
export const LISTENING = /listening on (http:\/\/\S+)/;

/** Modes for the peers that clients connect to directly and that show one certificate. */
export const DIRECT_MODES = [
  'keepalive',
  'fresh',
  'resumed',
  'bulk',
  'upload',
  'idle',
  'held',
  'slow',
  'bursts',
];

/**
 * What a program prints; undefined if it is not there.
 * @param {string} command @param {readonly string[]} args
 * @returns {string | undefined}
 */
export function output(command, args) {
  try {
    // nginx and others print their version to stderr.
    return execFileSync('sh', ['-c', 'exec "$0" "$@" 2>&1', command, ...args], { encoding: 'utf8' });
  } catch {
    return undefined; // Absent, or so broken that it cannot say its version: not available either way.
  }
}

/** @param {string} command @param {readonly string[]} args @param {string} debianPackage */
export function missing(command, args, debianPackage) {
  if (output(command, args) !== undefined) return undefined;
  return `${command} is not installed (Debian: apt-get install ${debianPackage})`;
}

/** @param {string} node */
export function nodeVersion(node) {
  return `Node ${output(node, ['--version'])?.trim() ?? 'unknown'}`;
}
