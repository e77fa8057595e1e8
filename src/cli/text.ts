/** Text from elsewhere, made fit for a terminal or a line of a log. */

/**
 * What can move a cursor, change colours, or show text in another order than it has: controls (C0, DEL, C1),
 * line separators, bidirectional marks and overrides, and other characters without a shape of their own.
 */
const unsafe =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** `text` on one line, with what is unsafe spelled as `\x1b` or `\u202e`. */
export function safeText(text: string): string {
  return text.replace(unsafe, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x100 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`;
  });
}

/**
 * `url` in printable ASCII, so that it can be shown and pasted: everything else is percent-encoded. Characters
 * up to U+00FF stand for the bytes that were on the wire. A user name and password in front of the host are
 * replaced by `***`.
 */
export function safeUrl(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)?[^/?#]*@/i, '$1***@').replace(/[^!-~]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    const bytes = code < 0x100 ? [code] : [...Buffer.from(character)];
    return bytes.map((byte) => `%${hex(byte, 2).toUpperCase()}`).join('');
  });
}

/** A JSON line: what `JSON.stringify` gives, with unsafe characters as JSON's own escapes. */
export function safeJson(value: unknown): string {
  return JSON.stringify(value).replace(unsafe, (character) => `\\u${hex(character.charCodeAt(0), 4)}`);
}

/** At most `width` characters: the beginning and the end stay, `…` stands for the middle. */
export function cutMiddle(text: string, width: number): string {
  if (text.length <= width) return text;
  if (width <= 1) return '…'.slice(0, width);
  const end = Math.floor((width - 1) / 3);
  return `${text.slice(0, width - 1 - end)}…${end === 0 ? '' : text.slice(-end)}`;
}

/** At most `width` characters, the last of which is `…` where something is missing. */
export function cutEnd(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0');
}
