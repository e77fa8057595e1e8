/** What the primary of `--workers` and its workers say to each other, over the channel of `node:cluster`. */
import { type ErrorCode, errorTable, SallyportError, toSallyportError } from '../base/errors.js';
import type { CertificateKey, LeafMaterial } from '../certs/store.js';
import type { ProxyCounters } from '../proxy/certificates.js';
import type { PurgedHosts } from './certs-desk.js';
import type { Reported } from './store-notices.js';

/** A `SallyportError` without what only its own process can have. */
export interface WireError {
  readonly code: string;
  readonly detail: string;
}

/** `LeafMaterial` with its private key sealed, in base64: see `seal`. */
export type SealedMaterial = Omit<LeafMaterial, 'privateKeyPem'> & { readonly sealedKey: string };

export type Outcome<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: WireError };

export type ToWorker =
  /** The answer to `hello`. */
  | {
      readonly kind: 'start';
      readonly port: number;
      readonly color: boolean;
      readonly width: number | null;
      readonly ticketKeys: string;
    }
  /** In base64: a secret, which goes to a child of this process over a socket that nobody else has. */
  | { readonly kind: 'ticket-keys'; readonly ticketKeys: string }
  | { readonly kind: 'width'; readonly width: number | null }
  /** Ends the worker when its exchanges have ended. */
  | { readonly kind: 'drain' }
  | { readonly kind: 'counters'; readonly id: number }
  /** What is at hand of these hosts is to be looked for again; answered with `forgotten`. */
  | { readonly kind: 'forget'; readonly id: number; readonly hosts: PurgedHosts }
  /** The answer to the `fetch` with this number. */
  | { readonly kind: 'fetched'; readonly id: number; readonly outcome: Outcome<SealedMaterial> }
  /** Asks for the generation that the `fetch` with this number brought; `abort` calls it off. */
  | { readonly kind: 'generate'; readonly id: number }
  | { readonly kind: 'abort'; readonly id: number };

export type ToPrimary =
  /** The worker listens for messages. */
  | { readonly kind: 'hello' }
  /** It accepts connections. */
  | { readonly kind: 'ready' }
  /** It cannot, and ends. */
  | { readonly kind: 'failed'; readonly error: WireError }
  /** It has begun to drain; so much is under way. */
  | { readonly kind: 'draining'; readonly running: number }
  | { readonly kind: 'counters'; readonly id: number; readonly counters: ProxyCounters }
  | { readonly kind: 'forgotten'; readonly id: number }
  | { readonly kind: 'report'; readonly report: Reported }
  | { readonly kind: 'fetch'; readonly id: number; readonly key: CertificateKey }
  /** Nobody waits for it any more. */
  | { readonly kind: 'cancel'; readonly id: number }
  | { readonly kind: 'generated'; readonly id: number; readonly outcome: Outcome<SealedMaterial> };

export function toWire(thrown: unknown): WireError {
  const { code, detail } = toSallyportError(thrown);
  return { code, detail };
}

export function fromWire({ code, detail }: WireError): SallyportError {
  return new SallyportError(code in errorTable ? (code as ErrorCode) : 'ERR_INTERNAL', detail);
}
