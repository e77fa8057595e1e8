/** The tunnels of one proxy that have not ended, for `close` to wait for. */
export class OpenTunnels {
  readonly #open = new Set<Promise<void>>();

  add(tunnel: Promise<void>): void {
    this.#open.add(tunnel);
    void tunnel.then(() => this.#open.delete(tunnel));
  }

  /** Resolves when none is open; one that is opened meanwhile is waited for too. */
  async ended(): Promise<void> {
    while (this.#open.size > 0) await Promise.all(this.#open);
  }
}
