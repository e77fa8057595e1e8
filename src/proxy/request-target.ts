/** Which origin a request means, and with which target: the destination station applied to a request head. */
import { SallyportError } from '../base/errors.js';
import { authority, type Origin, originUrl } from '../base/message.js';
import { isOwnAddress, type LocalAddress } from '../connect/loop.js';
import { parseAbsoluteTarget } from '../connect/target.js';
import type { H1RequestHead } from '../http/head.js';

export interface ResolvedTarget {
  readonly origin: Origin;
  /** Origin-form, or `*`. */
  readonly target: string;
  /** What Host must say; `undefined` where the client's own stays. */
  readonly host: string | undefined;
}

/**
 * Within a tunnel the origin is the tunnel's, whatever the request says; outside, it is what the
 * absolute-form target says (RFC 9112 §3.2.2), and Host follows it. Throws `ERR_TARGET_INVALID`,
 * `ERR_NOT_A_PROXY_REQUEST`, `ERR_METHOD_UNSUPPORTED` or `ERR_LOOP`.
 */
export function resolveTarget(
  head: Pick<H1RequestHead, 'method' | 'target' | 'section'>,
  tunnel: Origin | undefined,
  proxy: { readonly local: LocalAddress; readonly via: string | undefined },
): ResolvedTarget {
  const { method, target, section } = head;
  if (proxy.via !== undefined && section.via?.includes(proxy.via)) {
    throw new SallyportError('ERR_LOOP', `Via names this proxy: ${section.via.slice(0, 200)}`);
  }
  if (tunnel) {
    if (target.startsWith('/')) return { origin: tunnel, target, host: missingHost(head, tunnel) };
    if (target === '*' && method === 'OPTIONS')
      return { origin: tunnel, target, host: missingHost(head, tunnel) };
  }
  if (method === 'CONNECT') {
    throw new SallyportError('ERR_METHOD_UNSUPPORTED', `CONNECT to ${target.slice(0, 120)} inside a tunnel`);
  }
  const absolute = parseAbsoluteTarget(target, method === 'OPTIONS');
  const host = authority(absolute.origin);
  if (tunnel) return { origin: tunnel, target: absolute.path, host };
  if (isOwnAddress(absolute.origin, proxy.local)) {
    throw new SallyportError('ERR_LOOP', `${originUrl(absolute.origin)} is this proxy`);
  }
  return { origin: absolute.origin, target: absolute.path, host };
}

/** For logs: a URL may carry a password, and no log is to have it. */
export function withoutUserinfo(target: string): string {
  return target.replace(/^([^/?#]*:?\/\/)[^/?#]*@/, '$1').replace(/^[^/?#]*@/, '');
}

/** An HTTP/1.0 request may come without Host; the origin gets one. */
function missingHost(head: Pick<H1RequestHead, 'section'>, tunnel: Origin): string | undefined {
  return head.section.hosts === 0 ? authority(tunnel) : undefined;
}
