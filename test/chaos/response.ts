/** Reads a response as a strict client does: what is not complete is none. */
import type { Wire } from '../support/wire.js';

export interface ReadResponse {
  readonly head: string;
  readonly body: string;
  /** Whether the connection may be used again. */
  readonly goesOn: boolean;
}

/** The first final response. Rejects where the connection ends before it is complete. */
export async function readResponse(wire: Wire, method: string): Promise<ReadResponse> {
  let head = await wire.head();
  while (/^HTTP\/1\.1 1\d\d /.test(head)) head = await wire.head();
  const closes = /\r\nconnection: *close\r\n/i.test(head);
  if (method === 'HEAD' || /^HTTP\/1\.1 [23]04 /.test(head)) return { head, body: '', goesOn: !closes };
  if (/\r\ntransfer-encoding: *chunked\r\n/i.test(head)) {
    return { head, body: await readChunks(wire), goesOn: !closes };
  }
  const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head);
  if (length) return { head, body: await wire.bytes(Number(length[1])), goesOn: !closes };
  return { head, body: await wire.rest(), goesOn: false };
}

async function readChunks(wire: Wire): Promise<string> {
  const parts: string[] = [];
  for (;;) {
    const size = Number.parseInt(await wire.until('\r\n'), 16);
    if (size === 0) break;
    parts.push(await wire.bytes(size));
    await wire.bytes(2);
  }
  while ((await wire.until('\r\n')) !== '\r\n') {
    // A trailer.
  }
  return parts.join('');
}
