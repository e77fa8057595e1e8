/** From the options of a command line to those of a proxy. */
import { SallyportError } from '../base/errors.js';
import type { Limits, Timeouts } from '../base/limits.js';
import type { ProxyOptions } from '../proxy/options.js';
import { loadUpstreamCa } from '../tls/roots.js';
import { gather, type Setting } from './values.js';

/** The options that every command which starts a proxy has. */
export interface ProxyArguments {
  readonly caDir: string;
  readonly upstreamCa: string | undefined;
  readonly insecureUpstream: boolean;
  readonly noVia: boolean;
  readonly leafProfile: 'p256' | 'rsa-2048';
  readonly wildcardLeaves: boolean;
  readonly mirrorUpstream: 'off' | 'on' | 'untrusted';
  readonly maxConnections: number | undefined;
  readonly timeout: readonly Setting<keyof Timeouts>[];
  readonly limit: readonly Setting<keyof Limits>[];
}

/**
 * Reads `--upstream-ca`. Rejects with `ERR_OPTION_VALUE` (settings that contradict each other) and
 * `ERR_UPSTREAM_CA`.
 */
export async function proxyOptionsFrom(
  typed: ProxyArguments,
): Promise<ProxyOptions & { readonly caDir: string }> {
  const limits = gather(typed.limit, '--limit');
  if (typed.maxConnections !== undefined) {
    if (limits.connections !== undefined) {
      throw new SallyportError(
        'ERR_OPTION_VALUE',
        '--max-connections and --limit connections are the same: give one',
      );
    }
    limits.connections = typed.maxConnections;
  }
  return {
    caDir: typed.caDir,
    verifyUpstream: !typed.insecureUpstream,
    via: !typed.noVia,
    leafProfile: typed.leafProfile,
    wildcardLeaves: typed.wildcardLeaves,
    mirrorUpstream:
      typed.mirrorUpstream === 'untrusted' ? { untrusted: true } : typed.mirrorUpstream === 'on',
    limits,
    timeouts: gather(typed.timeout, '--timeout'),
    ...(typed.upstreamCa === undefined
      ? {}
      : { upstreamCa: (await loadUpstreamCa(typed.upstreamCa)).join('') }),
  };
}

/** What is said on stderr when certificates of origins are not verified. */
export const insecureWarning =
  'WARNING: --insecure-upstream: certificates of origins are NOT verified. Anybody on the way to them can read and change the traffic.';

/** Why a file could not be used, in words. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  const words: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file',
    EACCES: 'permission denied',
    EISDIR: 'it is a directory',
    ENOTDIR: 'a part of the path is not a directory',
  };
  if (code !== undefined) return words[code] ?? code;
  return error instanceof Error ? error.message : String(error);
}
