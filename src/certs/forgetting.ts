/** What is to be forgotten, and what is under way meanwhile. */
import { isPromise } from './awaiting.js';

/**
 * Whether a `CertificateKey.host` is for one of `hosts`: its own leaf, one that mirrors its origin, or the one of its
 * group. Without `hosts` all are.
 */
export function isForOneOf(hosts: readonly string[] | undefined): (stored: string) => boolean {
  if (!hosts) return () => true;
  const named = hosts.map(withoutDigest);
  const wanted = new Set([...named, ...named.map((host) => host.replace(/^[^.]*/, '*'))]);
  return (stored) => wanted.has(withoutDigest(stored));
}

/** `example.com` of `example.com/mirror:…`. */
function withoutDigest(stored: string): string {
  return stored.replace(/\/.*/s, '');
}

interface Mark {
  readonly name: string;
  isStale: boolean;
}

/**
 * Work whose results must not outlive `forget`: what was begun before and comes after is dropped, and the work is done
 * again, for whoever waits.
 */
export class Underway {
  readonly #marks = new Set<Mark>();

  /** What `accept`, in the same turn, makes of the result of `work`. Without a promise where `work` gives none. */
  run<T, R>(name: string, work: () => T | Promise<T>, accept: (result: T) => R): R | Promise<R> {
    const result = work();
    return isPromise(result) ? this.#wait(name, work, accept, result) : accept(result);
  }

  /** What is under way under a name that `isGone` says so of is done again. */
  forget(isGone: (name: string) => boolean): void {
    for (const mark of this.#marks) if (isGone(mark.name)) mark.isStale = true;
  }

  async #wait<T, R>(
    name: string,
    work: () => T | Promise<T>,
    accept: (result: T) => R,
    first: Promise<T>,
  ): Promise<R> {
    const mark: Mark = { name, isStale: false };
    this.#marks.add(mark);
    try {
      let result = await first;
      while (mark.isStale) {
        mark.isStale = false;
        result = await work();
      }
      return accept(result);
    } finally {
      this.#marks.delete(mark);
    }
  }
}
