/**
 * A doubly linked list whose links belong to the values in it: adding and removing allocates nothing, from
 * either end or the middle. The pool moves a connection through two such lists for every request.
 */

/** A value's place in a list. It is in one list at a time, or in none. */
export class Link<T> {
  readonly owner: T;
  /** For the list only. */
  list: LinkedList<T> | undefined = undefined;
  previous: Link<T> | undefined = undefined;
  next: Link<T> | undefined = undefined;

  constructor(owner: T) {
    this.owner = owner;
  }

  get linked(): boolean {
    return this.list !== undefined;
  }
}

export class LinkedList<T> {
  #first: Link<T> | undefined;
  #last: Link<T> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get first(): T | undefined {
    return this.#first?.owner;
  }

  get last(): T | undefined {
    return this.#last?.owner;
  }

  /** Adds at the end; a link that is in a list leaves it first. */
  append(link: Link<T>): void {
    link.list?.remove(link);
    link.list = this;
    link.previous = this.#last;
    if (this.#last) this.#last.next = link;
    else this.#first = link;
    this.#last = link;
    this.#size += 1;
  }

  /** Removes a link; says whether it was in this list. */
  remove(link: Link<T>): boolean {
    if (link.list !== this) return false;
    const { previous, next } = link;
    if (previous) previous.next = next;
    else this.#first = next;
    if (next) next.previous = previous;
    else this.#last = previous;
    link.list = undefined;
    link.previous = undefined;
    link.next = undefined;
    this.#size -= 1;
    return true;
  }

  /** From the first to the last. The list must not change meanwhile. */
  *[Symbol.iterator](): Generator<T> {
    for (let link = this.#first; link; link = link.next) yield link.owner;
  }
}
