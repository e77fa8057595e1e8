/** A connection to an origin, with what log lines and hooks tell of it. */
import type { Socket } from 'node:net';
import type { LegTls } from '../base/exchange.js';
import type { Limits } from '../base/limits.js';
import type { SocketReader } from '../base/socket-reader.js';
import { ClientConnection } from '../http/client.js';
import type { SlabPool } from '../http/slab-pool.js';
import type { OriginCertificates, OriginFacts } from './origin-certificates.js';
import type { Standing } from './standing.js';

export class OriginConnection extends ClientConnection implements OriginFacts {
  readonly address: string;
  readonly port: number;
  readonly tls: LegTls | undefined;
  readonly certificates: OriginCertificates | undefined;
  /** Whether it was made before a request wanted it: the origin may have given it up before the first one. */
  ahead = false;
  readonly #standing: Standing | undefined;

  /** Takes ownership of a connected socket, and of the reader that it was connected with. */
  constructor(
    limits: Limits,
    slabs: SlabPool,
    socket: Socket,
    tls: LegTls | undefined,
    reader?: SocketReader,
    certificates?: OriginCertificates,
    standing?: Standing,
  ) {
    super(socket, limits, slabs, reader);
    this.address = socket.remoteAddress ?? '';
    this.port = socket.remotePort ?? 0;
    this.tls = tls;
    this.certificates = certificates;
    this.#standing = standing;
  }

  /** Where leaves mirror, also whether what the origin showed still stands: requests must not outlive it. */
  override get usable(): boolean {
    return super.usable && this.#standing?.over !== true;
  }
}
