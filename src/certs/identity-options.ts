/** What identities are made with. */
import type { SecureContextOptions } from 'node:tls';
import type { Bytes } from '../base/bytes.js';
import type { Events } from '../base/events.js';
import type { Authority } from './authority.js';
import type { KeyProfile } from './leaf-keys.js';
import type { Issuer } from './mint.js';
import type { CertificateStore } from './store.js';
import type { TicketKeys } from './ticket-keys.js';
import type { WildcardGroups } from './wildcards.js';

/** What identities need of an authority. */
export type LeafAuthority = Issuer &
  Pick<Authority, 'chainPem' | 'fingerprint256'> &
  Partial<Pick<Authority, 'nameConstrained'>>;

export interface IdentitiesOptions {
  readonly authority: LeafAuthority;
  /**
   * Where leaves come from. Default: a `MemoryStore`, closed by `close`; one that is given stays its owner's.
   */
  readonly store?: CertificateStore;
  /** Default `p256`. */
  readonly profile?: KeyProfile;
  /**
   * Which leaf serves a host, from `loadWildcardGroups`; default: each host its own. Hosts of one group share the
   * leaf and nothing else: each has its own session id context, so that no session crosses from one to another.
   */
  readonly wildcards?: WildcardGroups;
  /**
   * What identities and their contexts may take: 2 KiB for a host with a P-256 leaf, and 44 more when it has a
   * context of its own. Default 32 MiB, which is about 17,000 hosts, or 700 with contexts.
   */
  readonly capacity?: Bytes;
  /** Settings for every context, such as `ciphers` or `ecdhCurve`; what is left out is set here. */
  readonly context?: Omit<
    SecureContextOptions,
    'key' | 'cert' | 'pfx' | 'ca' | 'secureProtocol' | 'ticketKeys' | 'sessionIdContext'
  >;
  /**
   * What session tickets are sealed with. Instances with the same keys and CA, such as those of several workers,
   * resume each other's sessions. Default: keys of this instance, new ones every 12 hours.
   */
  readonly ticketKeys?: TicketKeys;
  /** Where `certificate.made` is told. */
  readonly events?: Events;
  /** The time in epoch milliseconds; default `Date.now`. */
  readonly now?: () => number;
}
