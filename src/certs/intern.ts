/**
 * Interning: one object for a certificate, on however many connections it is seen. The idea is that of Go's
 * `crypto/tls` (cache.go): entries are found by their bytes, held weakly, and gone once nobody holds them.
 *
 * Who owns what: a handle holds its entry, the entry its bytes and, once somebody looked, the parsed
 * certificate, and the certificate its entry. The pool holds none of them. So whoever keeps a handle, or only
 * the certificate that it gave, keeps the entry findable; and nothing has to be given back.
 */
import { X509Certificate, hash } from 'node:crypto';
import type { Bytes, Milliseconds } from '../base/bytes.js';
import { SallyportError } from '../base/errors.js';

/** One reference to an interned certificate. It may be dropped at any time; there is nothing to close. */
export interface CertificateHandle {
  /** The certificate's bytes, shared by all handles: not to be changed. The memory is theirs alone. */
  readonly der: Buffer;
  /**
   * Parsed when it is first read, once for all handles, and then always the same object. Throws
   * `ERR_CERTIFICATE_SYNTAX` when the bytes are no certificate.
   */
  readonly certificate: X509Certificate;
  /** SHA-256 of the bytes, as `X509Certificate.fingerprint256` writes it; nothing is parsed for it. */
  readonly fingerprint256: string;
}

/** `distinct` and `references` follow the garbage collector, which may be late: they never say too little. */
export interface InternCounters {
  /** Entries that are there: those whose end no finalizer has told yet. */
  readonly distinct: number;
  /**
   * Handles that were given out, and whose end no finalizer has told yet. The handles of one chain count until the
   * last of them is gone.
   */
  readonly references: number;
  /** How often a certificate was parsed, failures included, since the pool was made. */
  readonly parses: number;
  /** Handles whose `certificate` was read, and was there already, since the pool was made: parses that were not. */
  readonly savedParses: number;
  /** Bytes of DER that were interned and were there already, since the pool was made: copies that nobody holds. */
  readonly bytesSaved: Bytes;
}

/** For the ledger. */
export interface InternHoldings {
  /** Entries that were made since the pool was made, and those that are there. */
  readonly created: number;
  readonly outstanding: number;
  /** How long ago the first of these was made; 0 where there is none. */
  readonly oldestMs: Milliseconds;
}

/** Finds a candidate; whether it is the same is decided by its bytes. */
type Digest = (der: Uint8Array) => string;

const sha256: Digest = (der) => hash('sha256', der, 'base64');

/** The process shares one pool: see `intern`. Further ones are for those who want counters of their own. */
export class CertificatePool {
  readonly #digest: Digest;
  /** More than one under a digest only where digests collide. The lists are replaced, not changed. */
  readonly #entries = new Map<string, readonly EntryReference[]>();
  /** A parsed certificate keeps its entry: as long as anybody has the object, nobody gets another. */
  readonly #owners = new WeakMap<X509Certificate, Entry>();
  readonly #gone = new FinalizationRegistry<EntryReference>((reference) => {
    this.#forget(reference);
  });
  readonly #dropped = new FinalizationRegistry<number>((count) => {
    this.#references -= count;
  });
  #interned = 0;
  #distinct = 0;
  #references = 0;
  #parses = 0;
  #savedParses = 0;
  #bytesSaved = 0;

  /** `digest`: in place of SHA-256. A bad one makes the pool slow, never wrong. */
  constructor(options: { readonly digest?: Digest } = {}) {
    this.#digest = options.digest ?? sha256;
  }

  /**
   * A handle for `der`, which is copied if it is new. Never throws for its contents: that is left to
   * `certificate`.
   */
  intern(der: Uint8Array): CertificateHandle {
    return new Handle(this.#entry(der), this.#hold(1));
  }

  /** The same for several that belong together: one finalizer for all. */
  internChain(ders: readonly Uint8Array[]): readonly CertificateHandle[] {
    if (ders.length === 0) return noHandles;
    const hold = this.#hold(ders.length);
    return Object.freeze(ders.map((der) => new Handle(this.#entry(der), hold)));
  }

  get counters(): InternCounters {
    return {
      distinct: this.#distinct,
      references: this.#references,
      parses: this.#parses,
      savedParses: this.#savedParses,
      bytesSaved: this.#bytesSaved,
    };
  }

  get holdings(): InternHoldings {
    return { created: this.#interned, outstanding: this.#distinct, oldestMs: this.#oldest };
  }

  /** Entries stand in the order that they came in, but for those of one digest. */
  get #oldest(): Milliseconds {
    for (const [first] of this.#entries.values()) if (first) return performance.now() - first.born;
    return 0;
  }

  #hold(handles: number): Hold {
    const hold = new Hold(this.#parsing);
    this.#references += handles;
    this.#dropped.register(hold, handles);
    return hold;
  }

  #entry(der: Uint8Array): Entry {
    const digest = this.#digest(der);
    const candidates = this.#entries.get(digest);
    for (const reference of candidates ?? []) {
      const entry = reference.deref();
      if (!entry?.der.equals(der)) continue;
      this.#bytesSaved += der.length;
      return entry;
    }
    const entry = new Entry(der);
    const reference = new EntryReference(entry, digest);
    // What has been collected and waits for its finalizer stays in the list until then.
    this.#entries.set(digest, candidates ? [...candidates, reference] : [reference]);
    this.#interned += 1;
    this.#distinct += 1;
    this.#gone.register(entry, reference);
    return entry;
  }

  /** The finalizer of an entry. Its successor under the same digest may be there already, and stays. */
  #forget(reference: EntryReference): void {
    this.#distinct -= 1;
    const rest = this.#entries.get(reference.digest)?.filter((other) => other !== reference) ?? [];
    if (rest.length > 0) this.#entries.set(reference.digest, rest);
    else this.#entries.delete(reference.digest);
  }

  /** Shared by all handles. */
  readonly #parsing: Parsing = {
    parse: (entry) => {
      this.#parses += 1;
      const certificate = parse(entry.der);
      this.#owners.set(certificate, entry);
      return certificate;
    },
    saved: () => {
      this.#savedParses += 1;
    },
  };
}

/** What is asked of the pool when somebody looks. */
interface Parsing {
  parse(entry: Entry): X509Certificate;
  saved(): void;
}

/** Of the handles that were made together: it lives as long as one of them, and its finalizer tells of all. */
class Hold {
  readonly parsing: Parsing;

  constructor(parsing: Parsing) {
    this.parsing = parsing;
  }
}

class EntryReference extends WeakRef<Entry> {
  readonly digest: string;
  readonly born: Milliseconds = performance.now();

  constructor(entry: Entry, digest: string) {
    super(entry);
    this.digest = digest;
  }
}

class Entry {
  readonly der: Buffer;
  #certificate: X509Certificate | undefined;
  #fingerprint: string | undefined;

  constructor(der: Uint8Array) {
    // Not the caller's memory, which may change, nor Node's shared slab, which would live as long.
    this.der = Buffer.allocUnsafeSlow(der.length);
    this.der.set(der);
  }

  /** The certificate for a handle that has read it before, or has not. */
  certificate(parsing: Parsing, again: boolean): X509Certificate {
    const parsed = this.#certificate;
    if (!parsed) return (this.#certificate = parsing.parse(this));
    if (!again) parsing.saved();
    return parsed;
  }

  get fingerprint256(): string {
    return (this.#fingerprint ??=
      hash('sha256', this.der, 'hex').toUpperCase().match(/../g)?.join(':') ?? '');
  }
}

class Handle implements CertificateHandle {
  readonly #entry: Entry;
  readonly #hold: Hold;
  #read = false;

  constructor(entry: Entry, hold: Hold) {
    this.#entry = entry;
    this.#hold = hold;
  }

  get der(): Buffer {
    return this.#entry.der;
  }

  get certificate(): X509Certificate {
    const certificate = this.#entry.certificate(this.#hold.parsing, this.#read);
    this.#read = true;
    return certificate;
  }

  get fingerprint256(): string {
    return this.#entry.fingerprint256;
  }
}

const noHandles: readonly CertificateHandle[] = Object.freeze([]);

function parse(der: Buffer): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (cause) {
    throw new SallyportError('ERR_CERTIFICATE_SYNTAX', `${der.length} bytes`, { cause });
  }
}

/**
 * Shared by the process, as Go's is: what it holds is immutable, found by its contents alone, and owned by those
 * who hold the handles. So two proxies cannot tell that they share it, except by its counters.
 */
const pool = new CertificatePool();

/**
 * A handle for the certificate whose DER is `der` (X.509, RFC 5280), the same for the whole process: the bytes are
 * kept once, and parsed once at the most. `der` is copied if it is new, and may be changed afterwards. Never throws
 * for what it holds; reading `certificate` does.
 */
export function intern(der: Uint8Array): CertificateHandle {
  return pool.intern(der);
}

/** `intern` for certificates that belong together, such as a chain; a little leaner than one by one. Frozen. */
export function internChain(ders: readonly Uint8Array[]): readonly CertificateHandle[] {
  return pool.internChain(ders);
}

/** What `intern`, `internChain` and `internPeerCertificates` did in this process, the proxy's own use included. */
export function internCounters(): InternCounters {
  return pool.counters;
}

/** The entries of the process, for the ledger. */
export function internHoldings(): InternHoldings {
  return pool.holdings;
}
