/** Whether a certificate can be shown to clients: not before its time, as when a clock was ahead, and not after. */
import { SallyportError } from '../base/errors.js';

/** Epoch milliseconds. */
interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

export function isCurrent({ notBefore, notAfter }: Validity, now: number): boolean {
  return notBefore <= now && now < notAfter;
}

/** The same as a word, for people. */
export function stateOf(validity: Validity, now: number): 'valid' | 'expired' | 'not-yet-valid' {
  if (isCurrent(validity, now)) return 'valid';
  return now < validity.notAfter ? 'not-yet-valid' : 'expired';
}

/** Throws `ERR_LEAF_CERTIFICATE` when `material` cannot be served. `which` begins the message. */
export function requireCurrent(material: Validity, now: number, which: string): void {
  if (now >= material.notAfter)
    throw new SallyportError('ERR_LEAF_CERTIFICATE', `${which} had already ended`);
  if (now >= material.notBefore) return;
  const from = new Date(material.notBefore).toISOString();
  throw new SallyportError(
    'ERR_LEAF_CERTIFICATE',
    `${which} is not valid before ${from}; is the clock right?`,
  );
}
