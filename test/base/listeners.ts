/** How many listeners wait for a context to close: for tests that look for one that was left behind. */
import { Context } from '../../src/base/context.js';

/** Counts from now on. */
export function countListeners(context: Context): () => number {
  const { onClose } = Context.prototype;
  let listening = 0;
  context.onClose = (listener) => {
    let counted = true;
    const uncount = (): void => {
      if (counted) listening -= 1;
      counted = false;
    };
    listening += 1;
    const remove = onClose.call(context, (closed) => {
      uncount();
      listener(closed);
    });
    return () => {
      uncount();
      remove();
    };
  };
  return () => listening;
}
