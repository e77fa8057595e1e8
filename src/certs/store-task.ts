/** One fetch of a store that processes share, on its way to its material. */
import { SallyportError } from '../base/errors.js';
import type { CertificateKey, Generate, LeafMaterial } from './store.js';

/** One fetch that leads its flight, or one renewal. */
export interface Task {
  readonly key: CertificateKey;
  readonly id: string;
  readonly generate: Generate;
  /** Its signal aborts when nobody waits any more. */
  readonly work: { readonly signal: AbortSignal };
  /** Whether whoever gave `generate` has left, so that its failure is nobody's. */
  readonly left: () => boolean;
  readonly renews: boolean;
  /** What `generate` made, until it is stored. */
  made?: LeafMaterial | undefined;
  /** How often its key was forgotten: what was read or made before the last time is not to be used. */
  forgotten: number;
}

export interface Outcome {
  readonly material: LeafMaterial;
  readonly from: 'entry' | 'here' | 'elsewhere';
}

/** Throws `ERR_CANCELLED`. */
export function throwIfAborted(signal: AbortSignal): void {
  if (!signal.aborted) return;
  throw new SallyportError('ERR_CANCELLED', 'nobody waits for the certificate any more', {
    cause: signal.reason,
  });
}
