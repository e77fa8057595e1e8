/** A signer whose key is in a child process: started when it is needed, and again when it died. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** @typedef {import('node:child_process').ChildProcess} ChildProcess */
/** @typedef {{ child: ChildProcess, resolve: (signature: Uint8Array) => void, reject: (error: unknown) => void, stop: () => void }} Request */

/** @implements {Signer} @typedef {import('sallyport/certs').Signer} Signer */
export class ChildSigner {
  /** @type {import('sallyport/certs').SignatureAlgorithm} */
  algorithm = 'ecdsa-p256-sha256';
  /** @type {ChildProcess | undefined} */
  #child;
  /** @type {Map<number, Request>} */
  #requests = new Map();
  #nextId = 0;
  #closed = false;
  #keyFile;
  #timeout;

  /** @param {string} keyFile @param {{ timeout?: number }} [options] in milliseconds; default 5,000 */
  constructor(keyFile, { timeout = 5000 } = {}) {
    this.#keyFile = keyFile;
    this.#timeout = timeout;
  }

  /** The process that holds the key, while it runs. */
  get pid() {
    return this.#child?.pid;
  }

  /** @type {(tbs: Uint8Array, options?: { readonly signal?: AbortSignal | undefined }) => Promise<Uint8Array>} */
  sign(tbs, { signal } = {}) {
    if (this.#closed) return Promise.reject(new Error('the signer is closed'));
    const child = (this.#child ??= this.#start());
    const id = (this.#nextId += 1);
    return new Promise((resolve, reject) => {
      const give = (/** @type {unknown} */ reason) => {
        this.#take(id)?.reject(reason);
      };
      const aborted = () => give(signal?.reason);
      const timer = setTimeout(() => {
        give(new Error(`the signer gave no answer within ${this.#timeout} ms`));
        // It hangs: the next signature gets another.
        if (this.#child === child) this.#child = undefined;
        child.kill('SIGKILL');
      }, this.#timeout);
      const stop = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', aborted);
      };
      this.#requests.set(id, { child, resolve, reject, stop });
      signal?.addEventListener('abort', aborted, { once: true });
      child.send({ id, tbs: Buffer.from(tbs).toString('base64') }, (error) => {
        if (error) give(error);
      });
    });
  }

  /** Ends the child; whoever waits is rejected. */
  close() {
    this.#closed = true;
    this.#child?.kill();
  }

  #start() {
    const child = fork(fileURLToPath(new URL('holder.mjs', import.meta.url)), [this.#keyFile], {
      execArgv: [],
    });
    child.on(
      'message',
      (/** @type {{ id: number, signature?: string, error?: string }} */ { id, signature, error }) => {
        const request = this.#take(id);
        if (signature === undefined) request?.reject(new Error(`the signer failed: ${error}`));
        else request?.resolve(Buffer.from(signature, 'base64'));
      },
    );
    const gone = (/** @type {unknown} */ reason) => {
      if (this.#child === child) this.#child = undefined;
      for (const [id, asked] of this.#requests) {
        if (asked.child === child) this.#take(id)?.reject(reason);
      }
    };
    child.once('error', gone);
    child.once('exit', (code, signal) => gone(new Error(`the signer ended (${signal ?? code})`)));
    return child;
  }

  /** @param {number} id */
  #take(id) {
    const request = this.#requests.get(id);
    this.#requests.delete(id);
    request?.stop();
    return request;
  }
}
