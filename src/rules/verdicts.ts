/** The four verdicts that a hook can return. */
import type {
  AnswerVerdict,
  PassVerdict,
  RefuseVerdict,
  RewriteRequestVerdict,
  RewriteResponseVerdict,
} from '../base/exchange.js';

const passed: PassVerdict = { kind: 'pass' };

/** Lets the message through as it is. */
export function pass(): PassVerdict {
  return passed;
}

/** Changes the message: what is left out stays as it was. */
export function rewrite<C extends Omit<RewriteRequestVerdict, 'kind'> | Omit<RewriteResponseVerdict, 'kind'>>(
  change: C,
): { readonly kind: 'rewrite' } & C {
  return { kind: 'rewrite', ...change };
}

/** Answers in place of the origin. */
export function answer(response: Omit<AnswerVerdict, 'kind'>): AnswerVerdict {
  return { kind: 'answer', ...response };
}

/** Refuses with an error response: 403, unless `status` says otherwise. */
export function refuse(options: Omit<RefuseVerdict, 'kind'> = {}): RefuseVerdict {
  return { kind: 'refuse', ...options };
}
