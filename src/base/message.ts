/** The vocabulary of HTTP messages, the same for every version of HTTP. */

/**
 * Header fields as they were on the wire: order, duplicates and the case of names are kept (RFC 9110 §5).
 * Values are strings of bytes (Latin-1: one character is one byte). Lookups ignore case.
 */
export interface ReadonlyFields {
  /** Name, value, name, value, … in wire order. Not to be changed. */
  readonly raw: readonly string[];
  /** All values of the field joined by `, ` (RFC 9110 §5.3), or `undefined`. Not for `set-cookie`. */
  get(name: string): string | undefined;
  /** The values of every field line of that name, in order. */
  getAll(name: string): string[];
  has(name: string): boolean;
  entries(): IterableIterator<readonly [name: string, value: string]>;
  /** A copy to change and give to `rewrite({ headers })`. */
  clone(): Fields;
}

/** What `answer`, `rewrite` and `Fields.from` take: a record, pairs, or other fields. */
export type FieldsInit =
  | ReadonlyFields
  | Iterable<readonly [name: string, value: string]>
  | Readonly<Record<string, string | readonly string[]>>;

export class Fields implements ReadonlyFields {
  readonly raw: string[];

  /** Takes ownership of `raw`: name, value, name, value, … */
  constructor(raw: string[] = []) {
    this.raw = raw;
  }

  static from(init: FieldsInit): Fields {
    if (isFields(init)) return init.clone();
    const fields = new Fields();
    if (Symbol.iterator in init) {
      for (const [name, value] of init) fields.append(name, value);
      return fields;
    }
    for (const [name, value] of Object.entries(init)) {
      for (const one of typeof value === 'string' ? [value] : value) fields.append(name, one);
    }
    return fields;
  }

  get(name: string): string | undefined {
    const all = this.getAll(name);
    return all.length === 0 ? undefined : all.join(', ');
  }

  getAll(name: string): string[] {
    const values: string[] = [];
    for (const [other, value] of this.entries()) if (sameName(other, name)) values.push(value);
    return values;
  }

  has(name: string): boolean {
    for (const [other] of this.entries()) if (sameName(other, name)) return true;
    return false;
  }

  *entries(): IterableIterator<readonly [name: string, value: string]> {
    const { raw } = this;
    for (let index = 0; index + 1 < raw.length; index += 2) yield [raw[index] ?? '', raw[index + 1] ?? ''];
  }

  clone(): Fields {
    return new Fields([...this.raw]);
  }

  /** Adds a field line at the end. */
  append(name: string, value: string): this {
    this.raw.push(name, value);
    return this;
  }

  /** Replaces the first line of that name in its place, drops the others; appends when there is none. */
  set(name: string, value: string): this {
    const at = this.raw.findIndex((other, index) => index % 2 === 0 && sameName(other, name));
    if (at === -1) return this.append(name, value);
    const spelling = this.raw[at] ?? name;
    this.#remove(name, at + 2);
    this.raw[at] = spelling;
    this.raw[at + 1] = value;
    return this;
  }

  /** Drops every line of that name; says whether there was one. */
  delete(name: string): boolean {
    return this.#remove(name, 0);
  }

  #remove(name: string, from: number): boolean {
    const { raw } = this;
    let kept = from;
    for (let index = from; index + 1 < raw.length; index += 2) {
      const other = raw[index] ?? '';
      if (sameName(other, name)) continue;
      raw[kept] = other;
      raw[kept + 1] = raw[index + 1] ?? '';
      kept += 2;
    }
    const removed = kept < raw.length;
    raw.length = kept;
    return removed;
  }
}

export interface RequestHead {
  readonly method: string;
  /** The request target as it was sent: origin-form, absolute-form, authority-form or `*` (RFC 9112 §3.2). */
  readonly target: string;
  readonly version: HttpVersion;
  readonly headers: ReadonlyFields;
}

export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly version: HttpVersion;
  readonly headers: ReadonlyFields;
}

export type HttpVersion = '1.0' | '1.1';

/** Where a request goes. */
export interface Origin {
  readonly scheme: 'http' | 'https';
  /** A DNS name in lower case or an IP literal without brackets. */
  readonly host: string;
  readonly port: number;
}

/** `https://example.com`, `http://[::1]:8080`: the port only where it is not the scheme's own. */
export function originUrl(origin: Origin): string {
  return `${origin.scheme}://${authority(origin)}`;
}

/** `host`, or `host:port` where the port is not the scheme's own; IPv6 in brackets (RFC 3986 §3.2.2). */
export function authority(origin: Origin): string {
  const isDefault = origin.port === (origin.scheme === 'https' ? 443 : 80);
  return isDefault ? bracketed(origin.host) : hostPort(origin.host, origin.port);
}

/** `host:port`, IPv6 in brackets. */
export function hostPort(host: string, port: number): string {
  return `${bracketed(host)}:${port}`;
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** Whether two field names are the same, ignoring the case of ASCII letters. */
export function sameName(one: string, other: string): boolean {
  return one.length === other.length && (one === other || one.toLowerCase() === other.toLowerCase());
}

function isFields(init: FieldsInit): init is ReadonlyFields {
  return 'raw' in init && Array.isArray(init.raw) && 'clone' in init;
}
