/** A client that does as it was planned, and says what came of it. */
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { codeIn } from '../support/scene.js';
import { Wire } from '../support/wire.js';
import { answerFor, bodyOf } from './answers.js';
import type { Leaving, Phase, RequestPlan, Visit } from './plan.js';
import { readResponse } from './response.js';

export interface Around {
  /** Of each proxy. */
  readonly proxyPorts: readonly number[];
  /** Trusts nobody here, and so is not charged with what a client does with a certificate that it trusts. */
  readonly secureContext: tls.SecureContext;
  readonly ports: { readonly plain: number; readonly secure: number; readonly nobody: number };
}

/** One word or two for each exchange; what is wrong begins with `MISTAKE`. */
export type Outcome = string;

/** It left as planned. */
class Left extends Error {}

export async function visit(plan: Visit, around: Around): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const client = new Client(plan, around);
  try {
    await client.open();
    for (const [index, request] of plan.requests.entries()) {
      const isLast = index === plan.requests.length - 1;
      const { outcome, goesOn } = await client.exchange(request, isLast);
      outcomes.push(outcome);
      if (!goesOn) break;
    }
  } catch (error) {
    outcomes.push(outcomeOf(error, plan.leaving));
  } finally {
    // Not within a callback of the TLS socket: Node 20 does not survive that.
    await new Promise(setImmediate);
    client.destroy();
  }
  return outcomes;
}

function outcomeOf(error: unknown, leaving: Leaving | undefined): Outcome {
  if (error instanceof Left) return `left (${leaving?.phase ?? ''})`;
  const message = error instanceof Error ? error.message : String(error);
  if (message.includes('in vain')) return `MISTAKE: left hanging: ${message.slice(0, 300)}`;
  return 'cut';
}

class Client {
  readonly #plan: Visit;
  readonly #around: Around;
  /** On TCP, and on TLS where there is TLS. */
  #below: Wire | undefined;
  #wire: Wire | undefined;

  constructor(plan: Visit, around: Around) {
    this.#plan = plan;
    this.#around = around;
  }

  get #top(): Wire {
    if (!this.#wire) throw new Error('not open');
    return this.#wire;
  }

  destroy(): void {
    this.#below?.destroy();
    this.#wire?.destroy();
  }

  async open(): Promise<void> {
    const { road, proxy } = this.#plan;
    const port = this.#around.proxyPorts[proxy];
    if (port === undefined) throw new Error(`there is no proxy ${proxy}`);
    this.#wire = await Wire.connect(port, { allowHalfOpen: true });
    this.#below = this.#wire;
    await this.#maybeLeave('connected');
    if (road === 'http') return;
    await this.#tunnel();
    if (road === 'https') await this.#secure();
  }

  async #tunnel(): Promise<void> {
    const at = `${this.#plan.host}:${this.#port}`;
    const head = `CONNECT ${at} HTTP/1.1\r\nHost: ${at}\r\n\r\n`;
    await this.#sendPart('connect-head', head);
    this.#top.send(head);
    await this.#maybeLeave('connect-sent');
    const answer = await this.#top.head();
    if (!answer.startsWith('HTTP/1.1 200 ')) throw new Error('no tunnel');
    await this.#maybeLeave('tunnel-open');
  }

  async #secure(): Promise<void> {
    const { host: servername } = this.#plan;
    const { phase } = this.#plan.leaving ?? {};
    if (phase === 'client-hello' || phase === 'client-hello-sent') {
      const hello = await clientHello(servername);
      await this.#sendPart('client-hello', hello);
      this.#top.send(Buffer.from(hello, 'latin1'));
      await this.#maybeLeave('client-hello-sent');
    }
    // Whether the certificate is right is tested elsewhere.
    const { secureContext } = this.#around;
    this.#wire = await this.#top.secure({ secureContext, servername, rejectUnauthorized: false });
    await this.#maybeLeave('handshake-done');
  }

  async exchange(request: RequestPlan, isLast: boolean): Promise<{ outcome: Outcome; goesOn: boolean }> {
    const { road, leaving, number } = this.#plan;
    const { complete, orPart } = answerFor(request.answer, request.size);
    const wire = this.#top;
    if (road === 'tunnel') wire.send(`\0${request.answer} ${request.size}\n`);
    else await this.#request(request, isLast);
    if (isLast) await this.#maybeLeave('waiting');
    if (isLast && leaving?.phase === 'response') {
      await wire.bytes(leaving.bytes);
      await this.#maybeLeave('response');
    }
    if (road === 'tunnel') {
      // What comes through is for the two ends to judge.
      return { outcome: `tunnel: ${await wire.ending()}`, goesOn: false };
    }
    const { head, body, goesOn } = await readResponse(wire, request.method);
    const code = codeIn(head);
    if (code !== undefined) return { outcome: code, goesOn };
    if (!/\r\nx-from: origin\r\n/i.test(head)) return { outcome: `status ${head.slice(9, 12)}`, goesOn };
    const what = `visit ${number}, ${JSON.stringify(request)}`;
    if (complete === undefined) return { outcome: `MISTAKE: believed: ${what}`, goesOn: false };
    const isRight = orPart === true ? complete.startsWith(body) : body === complete;
    if (!isRight) return { outcome: `MISTAKE: another body: ${what}`, goesOn: false };
    return { outcome: 'complete', goesOn };
  }

  async #request({ method, body, chunked, answer, size }: RequestPlan, isLast: boolean): Promise<void> {
    const { road, host } = this.#plan;
    const at = `${host}:${this.#port}`;
    const target = `${road === 'http' ? `http://${at}` : ''}/${encodeURIComponent(answer)}/${size}`;
    const framing = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body}`;
    const fields = [`Host: ${at}`, ...(method === 'POST' ? [framing] : [])];
    const head = `${[`${method} ${target} HTTP/1.1`, ...fields].join('\r\n')}\r\n\r\n`;
    const chunk = body === 0 ? '' : `${body.toString(16)}\r\n${bodyOf(body)}\r\n`;
    const payload = method === 'GET' ? '' : chunked ? `${chunk}0\r\n\r\n` : bodyOf(body);
    if (isLast) await this.#sendPart('request-head', head);
    if (isLast) await this.#sendPart('request-body', head + payload, head.length);
    this.#top.send(head, payload);
  }

  get #port(): number {
    const { plain, secure, nobody } = this.#around.ports;
    const { refused, road } = this.#plan;
    if (refused) return nobody;
    return road === 'https' ? secure : plain;
  }

  /** Part of it, at least `least`, and then it is gone, if this is the phase. */
  async #sendPart(phase: Phase, text: string, least = 0): Promise<void> {
    const { leaving } = this.#plan;
    if (leaving?.phase !== phase) return;
    const length = Math.min(text.length - 1, least + Math.floor(leaving.share * (text.length - least)));
    this.#top.send(text.slice(0, Math.max(0, length)));
    await this.#maybeLeave(phase);
  }

  async #maybeLeave(phase: Phase): Promise<void> {
    const { leaving } = this.#plan;
    if (leaving?.phase !== phase) return;
    // So that what was sent has left, or has been answered; not within a callback of the TLS socket.
    for (let turn = 0; turn < 1 + leaving.share * 20; turn += 1) await new Promise(setImmediate);
    switch (leaving.way) {
      case 'close':
        this.#top.destroy();
        break;
      case 'rst':
        this.#below?.reset();
        break;
      case 'fin':
        this.#top.end();
        await this.#top.ending();
        break;
    }
    throw new Left();
  }
}

/** As Node says it, Latin-1. */
async function clientHello(servername: string): Promise<string> {
  return await new Promise((resolve) => {
    const below = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        resolve(chunk.toString('latin1'));
        done();
      },
    });
    const socket = tls.connect({ socket: below, servername });
    socket.on('error', () => undefined);
  });
}
