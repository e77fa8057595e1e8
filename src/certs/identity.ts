/**
 * Who the proxy is for a host: a leaf certificate, its key, and the TLS context that serves them.
 *
 * Ownership: a connection that uses an identity holds it, and so keeps its context; a `TLSSocket` alone does
 * not. `Identities` keeps the identities that were used last. One that it drops lives on in its connections, is
 * found again while they last, and goes with them; one that it replaced is not found again.
 */
import type { Milliseconds } from '../base/bytes.js';
import type { Events } from '../base/events.js';
import { isPromise } from './awaiting.js';
import { WeakLru } from './contexts.js';
import { isForOneOf, Underway } from './forgetting.js';
import { type Identity, HostIdentity, type Workshop } from './host-identity.js';
import type { ContextCounters, IdentityCounters, IdentityHoldings } from './identity-counters.js';
import type { IdentitiesOptions, LeafAuthority } from './identity-options.js';
import { identityWeight } from './identity-weight.js';
import type { CertificateHandle } from './intern.js';
import { MemoryStore } from './memory-store.js';
import { type LeafSubject, Minter } from './mint.js';
import { mirroredSubject } from './mirror.js';
import { type CertificateName, certificateName } from './names.js';
import { SharedContexts } from './shared-context.js';
import { sharedContextWorks } from './shared-context-probe.js';
import { SingleFlight } from './single-flight.js';
import { type CertificateStore, type FetchOptions, type LeafMaterial, renewalTime } from './store.js';
import { TicketKeys } from './ticket-keys.js';
import { isCurrent, requireCurrent } from './validity.js';
import type { WildcardGroups } from './wildcards.js';

/** What an identity is made from. */
interface Wanted {
  /** What it is found by here: the host, with the digest of what it mirrors after a slash. */
  readonly id: string;
  /** `CertificateKey.host`. */
  readonly stored: string;
  /** Asked when it has to be minted. */
  readonly subject: () => LeafSubject;
}

/** How soon a newer leaf is looked for again when there was none, at the latest. */
const longestSecondLook: Milliseconds = 60_000;

export class Identities {
  readonly #authority: LeafAuthority;
  readonly #store: CertificateStore;
  readonly #ownsStore: boolean;
  readonly #minter: Minter;
  readonly #wildcards: WildcardGroups | undefined;
  readonly #events: Events | undefined;
  readonly #now: () => number;
  readonly #workshop: Workshop;
  readonly #identities: WeakLru<HostIdentity>;
  /** How an identity that mirrors is made again. */
  readonly #mirrored = new WeakMap<HostIdentity, Wanted>();
  readonly #flights = new SingleFlight<HostIdentity>();
  /** What the store was asked for, by `Wanted.id`. */
  readonly #underway = new Underway();
  readonly #counters = { hits: 0, made: 0, renewed: 0, minted: 0 };
  #prepared: Promise<boolean> | undefined;
  #closed = false;

  constructor(options: IdentitiesOptions) {
    const { authority, store, profile = 'p256', capacity = 32 * 1024 * 1024, now = Date.now } = options;
    this.#authority = authority;
    this.#store = store ?? new MemoryStore({ now });
    this.#ownsStore = store === undefined;
    this.#minter = new Minter({ issuer: authority, profile, now });
    this.#wildcards = options.wildcards;
    this.#events = options.events;
    this.#now = now;
    this.#identities = new WeakLru(capacity, identityWeight);
    this.#workshop = {
      context: { minVersion: 'TLSv1.2', ...options.context },
      ticketKeys: options.ticketKeys ?? new TicketKeys(),
      chainPem: authority.chainPem,
      fingerprint: authority.fingerprint256,
      shared: undefined,
      counters: { made: 0, loads: 0, hits: 0 },
      grew: (identity) => {
        this.#identities.reweigh(identity.host, identity);
      },
    };
  }

  /**
   * Finds out, once, whether the running Node can serve all hosts from one context, and has it done if so;
   * until then, and otherwise, each host has its own. Takes a few handshakes in memory. Has the first leaf's key
   * made meanwhile, and does not wait for it. Never rejects.
   */
  prepare(): Promise<boolean> {
    return (this.#prepared ??= this.#prepare());
  }

  async #prepare(): Promise<boolean> {
    this.#minter.prepare();
    const works = await sharedContextWorks();
    if (works && !this.#closed) this.#workshop.shared = new SharedContexts(this.#workshop);
    return works;
  }

  /**
   * The identity for `host`, in any spelling: without a promise when it is at hand or everything that it takes
   * is. Any number of callers at the same time wait for one identity. It is replaced before its certificate
   * ends, in the background, and never handed out after, nor before it begins.
   *
   * Throws or rejects with `ERR_LEAF_CERTIFICATE` (no host, or material that cannot be used), `ERR_CA_BROKEN`
   * (the CA ended), `ERR_CANCELLED` (`options.signal` aborted, which touches nobody else, or `close`), and what
   * the store or the signer threw. `options.signal` is read only when there is something to wait for: pass a
   * `Context` as it is.
   */
  get(host: string, options?: FetchOptions): Identity | Promise<Identity> {
    const found = this.peek(host);
    if (found) return found;
    const name = certificateName(host);
    return (
      (name.host === host ? undefined : this.peek(name.host)) ??
      this.#flights.run(name.host, (work) => this.#obtain(this.#plain(name), work), options)
    );
  }

  /**
   * The same for an identity whose leaf has the names and the times of `origin`, the certificate of an origin that
   * was verified for `host`: see `mirroredSubject`. One for each host and certificate; its `host` is
   * `CertificateKey.host`. Wildcard groups do not count here.
   */
  getMirror(host: string, origin: CertificateHandle, options?: FetchOptions): Identity | Promise<Identity> {
    const name = certificateName(host);
    const digest = origin.fingerprint256.replaceAll(':', '').slice(0, 32).toLowerCase();
    const id = `${name.host}/mirror:${digest}`;
    const found = this.peek(id);
    if (found) return found;
    // The bytes and not the handle: an identity must not make it look as if a connection was still there.
    const { der } = origin;
    const { nameConstrained } = this.#authority;
    const subject = (): LeafSubject => mirroredSubject(name, der, { nameConstrained });
    return this.#flights.run(id, (work) => this.#obtain({ id, stored: id, subject }, work), options);
  }

  /** The identity for a host in the spelling of `certificateName`, if it is at hand. */
  peek(host: string): Identity | undefined {
    const identity = this.#identities.get(host);
    if (!identity) return undefined;
    const now = this.#now();
    if (!isCurrent(identity, now)) {
      this.#identities.delete(host);
      return undefined;
    }
    if (now >= identity.renewAt) this.#renew(identity);
    this.#counters.hits += 1;
    return identity;
  }

  /**
   * Has the store asked again for what is at hand: for these hosts, as `CertificateKey.host` spells them, with all
   * that share the leaf of a group; without `hosts` for all. The store forgets what it has in this process, too, and
   * who waits is given what comes after. Connections keep what they have. To be called when entries were removed from
   * what processes share. It may be because their key leaked: what is minted from now on has a new one. Rejects as
   * the store does.
   */
  async forget(hosts?: readonly string[]): Promise<void> {
    if (hosts?.length === 0) return;
    this.#minter.forgetKey();
    const isGone = isForOneOf(hosts);
    this.#drop(isGone);
    await this.#store.forget?.(({ host }) => isGone(host));
    // What the store gave before it was done.
    this.#drop(isGone);
  }

  get counters(): IdentityCounters {
    return { ...this.#counters, size: this.#identities.counters.size };
  }

  /** What is at hand, for the ledger; goes through all of it. */
  get held(): IdentityHoldings {
    const now = performance.now();
    const all = [...this.#identities.values()];
    const oldest = (some: readonly HostIdentity[]): Milliseconds =>
      some.reduce((age, { born }) => Math.max(age, now - born), 0);
    const heavy = all.filter((identity) => identity.heavy);
    return { oldestMs: oldest(all), contexts: heavy.length, oldestContextMs: oldest(heavy) };
  }

  /** What became of their TLS contexts. */
  get contexts(): ContextCounters {
    return { ...this.#workshop.counters, ...this.#identities.counters };
  }

  /** Drops the identities; whoever waits is rejected with `ERR_CANCELLED`. A second call does nothing. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#flights.close();
    this.#minter.close();
    this.#identities.clear();
    // An identity that lives on in a connection makes a context of its own if it is asked.
    this.#workshop.shared?.close();
    this.#workshop.shared = undefined;
    await this.#prepared;
    if (this.#ownsStore) await this.#store.close();
  }

  /** Looks for a newer leaf while the old one is served. */
  #renew(old: HostIdentity): void {
    if (this.#flights.has(old.host)) return;
    const work = async (options: { readonly signal: AbortSignal }): Promise<HostIdentity> => {
      // Minting for P-256 never waits: it is not to be done while the request does.
      await new Promise((resolve) => void setImmediate(resolve));
      const wanted = this.#mirrored.get(old) ?? this.#plain(certificateName(old.host));
      return await this.#obtain(wanted, options, old);
    };
    const later = (): void => {
      const now = this.#now();
      old.renewAt = now + Math.min(longestSecondLook, (old.notAfter - now) / 10);
    };
    Promise.resolve(this.#flights.run(old.host, work)).then(
      (found) => {
        if (found === old) later();
        else this.#counters.renewed += 1;
      },
      // The store has told its owner; who asks after the end of the old one gets the error of then.
      later,
    );
  }

  /** Drops the identities whose leaf `isGone` says so of, and has those under way obtained again. */
  #drop(isGone: (stored: string) => boolean): void {
    const isGoneHere = (id: string): boolean =>
      isGone(id) || isGone(this.#plain(certificateName(id.replace(/\/.*/s, ''))).stored);
    this.#underway.forget(isGoneHere);
    for (const id of this.#identities.keys()) if (isGoneHere(id)) this.#identities.delete(id);
  }

  #plain(name: CertificateName): Wanted {
    // Hosts of one group share the leaf; the session id context is each host's own.
    const leaf = this.#wildcards?.(name) ?? name;
    return { id: name.host, stored: leaf.host, subject: () => ({ name: leaf }) };
  }

  /** `old` is the answer when the store has nothing newer. */
  #obtain(
    wanted: Wanted,
    work: { readonly signal: AbortSignal },
    old?: HostIdentity,
  ): HostIdentity | Promise<HostIdentity> {
    const { profile } = this.#minter;
    const key = { host: wanted.stored, authority: this.#authority.fingerprint256, profile };
    return this.#underway.run(
      wanted.id,
      () => this.#store.fetch(key, (options) => this.#mint(wanted.subject(), options), work),
      (material) => this.#make(wanted, material, old),
    );
  }

  #mint(subject: LeafSubject, options: FetchOptions): LeafMaterial | Promise<LeafMaterial> {
    const started = performance.now();
    const minted = (material: LeafMaterial): LeafMaterial => {
      this.#counters.minted += 1;
      if (this.#events?.has('certificate.made')) {
        const duration = performance.now() - started;
        this.#events.emit('certificate.made', { host: subject.name.host, duration });
      }
      return material;
    };
    const material = this.#minter.mint(subject, options);
    return isPromise(material) ? material.then(minted) : minted(material);
  }

  #make(wanted: Wanted, material: LeafMaterial, old: HostIdentity | undefined): HostIdentity {
    const { id: host } = wanted;
    const now = this.#now();
    requireCurrent(material, now, `the certificate for ${host} that the store gave`);
    if (old?.serial === material.serial) return old;
    const renewAt = renewalTime(material.notAfter, now);
    const identity = new HostIdentity(host, material, renewAt, this.#workshop);
    this.#counters.made += 1;
    if (host.includes('/')) this.#mirrored.set(identity, wanted);
    if (!this.#closed) this.#identities.set(host, identity);
    return identity;
  }
}
