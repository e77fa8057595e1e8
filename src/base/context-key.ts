/** Typed keys of a context's values. */

/** A typed key for `withValue`. Two keys are never the same, whatever their names. */
export interface ContextKey<T> {
  readonly name: string;
  /** Never set: it carries the type. */
  readonly type?: T;
}

/** Makes a key; `name` is for people. */
export function contextKey<T>(name: string): ContextKey<T> {
  return { name };
}

/** A value under its key, for `child({ values })`: made by `contextValue`, so that their types agree. */
export interface ContextValue {
  readonly key: ContextKey<unknown>;
  readonly value: unknown;
}

export function contextValue<T>(key: ContextKey<T>, value: T): ContextValue {
  return { key, value };
}
