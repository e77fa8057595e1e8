/** What a person is told when the proxy starts. Pure. */
import { basename, relative } from 'node:path';
import { isIP } from 'node:net';
import { curlExample, shellQuote } from './shell.js';

export interface BannerFacts {
  readonly version: string;
  readonly proxyUrl: string;
  readonly caPath: string;
  readonly fingerprint256: string;
  /** Whether the CA was made this moment: nothing trusts it yet. */
  readonly created: boolean;
  /** How to call this program: see `ownCommand`. */
  readonly command: string;
  /** The CA directory, where it is not the default one. */
  readonly caDir: string | undefined;
}

/** Lines for stderr. */
export function banner(facts: BannerFacts): readonly string[] {
  const { command, caDir } = facts;
  const trust = `${command} ca trust --print${caDir === undefined ? '' : ` --ca-dir ${shellQuote(caDir)}`}`;
  return [
    `sallyport ${facts.version}`,
    `  proxy  ${facts.proxyUrl}`,
    `  CA     ${facts.caPath}${facts.created ? ' (new: made just now, trusted by nothing yet)' : ''}`,
    `         SHA-256 ${facts.fingerprint256}`,
    `  trust  ${trust}`,
    `  try    ${curlExample(facts.proxyUrl, facts.caPath)}`,
  ];
}

/** A warning when others than this machine can connect; `undefined` when they cannot. */
export function exposureWarning(host: string): string | undefined {
  const loopback = host === '::1' || host === 'localhost' || (isIP(host) === 4 && host.startsWith('127.'));
  return loopback
    ? undefined
    : `listening on ${host}: whoever reaches this address can use the proxy, and through it this machine's network`;
}

/** How this program was called, as far as it can be typed again: `sallyport`, or `node dist/cli/main.js`. */
export function ownCommand(script: string | undefined, directory: string): string {
  if (script === undefined || /^sallyport(?:\.\w+)?$/.test(basename(script))) return 'sallyport';
  const path = relative(directory, script);
  const shorter = path === '' || path.startsWith('..') ? script : path;
  return `node ${/^[\w./-]+$/.test(shorter) ? shorter : shellQuote(shorter)}`;
}
