/** The listeners of a context: none, one, or a list, as there are many contexts with few. */

/** A listener that is an object: `CloseListener` of a context, which this file does not know. */
export interface ObjectListener<C> {
  contextClosed(context: C): void;
}

export type Listener<C> = ObjectListener<C> | ((context: C) => void);
export type Listeners<C> = Listener<C> | Listener<C>[] | undefined;

/** Up to so many are kept in an array without room for more. */
const few = 4;

/** What to keep in place of `before`. */
export function withListener<C>(before: Listeners<C>, listener: Listener<C>): Listeners<C> {
  if (before === undefined) return listener;
  if (!Array.isArray(before)) return [before, listener];
  if (before.length < few) return [...before, listener];
  before.push(listener);
  return before;
}

/** What to keep in place of `before`; `before` itself when `listener` is not there. */
export function withoutListener<C>(before: Listeners<C>, listener: Listener<C>): Listeners<C> {
  if (before === listener) return undefined;
  if (!Array.isArray(before)) return before;
  const index = before.indexOf(listener);
  if (index !== -1) before.splice(index, 1);
  return before.length === 0 ? undefined : before;
}
