/** The TLS connections to origins of one proxy, counted from the end of their handshake until they have closed. */
import type { TLSSocket } from 'node:tls';
import type { Context } from '../base/context.js';
import type { Ledger } from '../base/ledger.js';
import type { Mark } from '../base/ledger-book.js';

/** Of the socket: a closure for each would be kept with it. */
const mark = Symbol('mark');

type Marked = TLSSocket & { [mark]?: Mark };

export class UpstreamTls {
  readonly #ledger: Ledger;
  readonly #onClose: (this: Marked) => void;
  #whenNone: (() => void) | undefined;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
    const closed = (socket: Marked): void => {
      const opened = socket[mark];
      if (opened === undefined) return;
      ledger.close('upstreamTls', opened);
      if (ledger.outstanding('upstreamTls') === 0) this.#whenNone?.();
    };
    this.#onClose = function (): void {
      closed(this);
    };
  }

  /** `socket` has not closed. */
  add(socket: Marked): void {
    this.#ledger.passed();
    socket[mark] = this.#ledger.open('upstreamTls', socket);
    socket.on('close', this.#onClose);
  }

  /** Resolves when all that were given up have closed: a socket that is destroyed does so a little later. */
  async ended(context: Context): Promise<void> {
    if (this.#ledger.outstanding('upstreamTls') === 0) return;
    await new Promise<void>((resolve) => {
      const stop = context.onClose(() => {
        resolve();
      });
      this.#whenNone = () => {
        stop();
        resolve();
      };
    });
  }
}
