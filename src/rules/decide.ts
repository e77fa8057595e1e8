/** Asks a hook and checks what it says. */
import { SallyportError, toSallyportError } from '../base/errors.js';
import type { Exchange, PassVerdict } from '../base/exchange.js';
import { pass } from './verdicts.js';

type Hook<V> = (exchange: Exchange) => V | undefined | void | Promise<V | undefined | void>;

interface AnyVerdict {
  readonly kind: 'pass' | 'rewrite' | 'answer' | 'refuse';
}

/**
 * The verdict of `hook`, without a promise when the hook gives none. Throws or rejects with
 * `ERR_HOOK_FAILED` when the hook does, and with `ERR_HOOK_VERDICT` for what is no verdict; errors of the
 * table pass as they are (a body over the limit that a hook set, for one).
 */
export function decide<V extends AnyVerdict>(
  hook: Hook<V>,
  exchange: Exchange,
): V | PassVerdict | Promise<V | PassVerdict> {
  let given: V | undefined | void | Promise<V | undefined | void>;
  try {
    given = hook(exchange);
  } catch (error) {
    throw hookError(error);
  }
  return given instanceof Promise ? settled(given) : checked(given);
}

async function settled<V extends AnyVerdict>(given: Promise<V | undefined | void>): Promise<V | PassVerdict> {
  let verdict: V | undefined | void;
  try {
    verdict = await given;
  } catch (error) {
    throw hookError(error);
  }
  return checked(verdict);
}

function checked<V extends AnyVerdict>(verdict: V | undefined | void): V | PassVerdict {
  if (verdict === undefined) return pass();
  const { kind, status } = (verdict ?? {}) as { readonly kind?: unknown; readonly status?: unknown };
  // Interim statuses are not a response (RFC 9110 §15.2), and a refusal is an error.
  const lowest = kind === 'refuse' ? 400 : 200;
  if (status !== undefined && !isStatus(status, lowest)) {
    throw new SallyportError('ERR_HOOK_VERDICT', `a status must be a whole number from ${lowest} to 599`);
  }
  if (kind === 'pass' || kind === 'rewrite' || kind === 'answer' || kind === 'refuse') return verdict;
  throw new SallyportError('ERR_HOOK_VERDICT', 'the hook returned something that is no verdict');
}

function isStatus(status: unknown, lowest: number): boolean {
  return typeof status === 'number' && Number.isInteger(status) && status >= lowest && status <= 599;
}

function hookError(error: unknown): SallyportError {
  if (error instanceof SallyportError) return error;
  // The message may hold what the client must not see: the log has it by the cause.
  return new SallyportError('ERR_HOOK_FAILED', toSallyportError(error).name, { cause: error });
}
