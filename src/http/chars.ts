/** Classes of bytes that HTTP/1.1 distinguishes, as tables over Latin-1 character codes. */

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;

/** `tchar`, RFC 9110 §5.6.2: what method names and field names consist of. */
export const tokenChars: Uint8Array = table((code) =>
  /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(code)),
);

/** What a field value may contain, RFC 9110 §5.5: visible characters, SP, HTAB and obs-text. */
export const valueChars: Uint8Array = table((code) => code === HTAB || (code >= SP && code !== 0x7f));

/**
 * What a request target may contain. RFC 9112 §3.2 allows visible ASCII only; bytes above 0x7F are let
 * through because clients do send raw UTF-8 in paths and no parser reads them as a delimiter.
 */
export const targetChars: Uint8Array = table((code) => code > SP && code !== 0x7f);

/** `uri-host [ ":" port ]`, RFC 3986 §3.2.2, as characters only: what a Host field may contain. */
export const hostChars: Uint8Array = table((code) =>
  /[!$%&'()*+,\-.:;=[\]_~0-9A-Za-z]/.test(String.fromCharCode(code)),
);

/** Value of a hexadecimal digit plus one; 0 where it is none. */
export const hexDigits: Uint8Array = (() => {
  const digits = new Uint8Array(256);
  for (let value = 0; value < 16; value += 1) {
    const digit = value.toString(16);
    digits[digit.charCodeAt(0)] = value + 1;
    digits[digit.toUpperCase().charCodeAt(0)] = value + 1;
  }
  return digits;
})();

function table(includes: (code: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (includes(code) ? 1 : 0));
}

/** Bytes as they can be shown in an error: control characters escaped, cut to 60 characters. */
export function shown(text: string): string {
  const cut = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  return JSON.stringify(cut).replaceAll(/[\u007f-\u009f]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`);
}
