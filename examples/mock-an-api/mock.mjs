/** A proxy that answers https://api.example.com/users/… itself, and passes everything else. */
import { answer, createProxy, pass } from 'sallyport';

const users = new Map([
  ['1', { id: 1, name: 'Ada' }],
  ['2', { id: 2, name: 'Grace' }],
]);

/** @type {import('sallyport').Hooks} */
const hooks = {
  async request({ origin, request }) {
    if (origin.host !== 'api.example.com') return pass();
    const { pathname } = new URL(request.url);
    const id = /^\/users\/(\w+)$/.exec(pathname)?.[1];

    if (request.method === 'PUT' && id !== undefined) {
      // The body is collected because it is asked for here; up to 10 kB, and 413 for more.
      const user = /** @type {{ name: string }} */ (await request.body.json({ limit: 10_000 }));
      users.set(id, { id: Number(id), name: user.name });
    }
    const found = id === undefined ? undefined : users.get(id);
    return found ? json(200, found) : json(404, { error: `there is no ${pathname}` });
  },
};

/** @param {number} status @param {unknown} value */
function json(status, value) {
  return answer({
    status,
    headers: { 'Content-Type': 'application/json' },
    body: `${JSON.stringify(value)}\n`,
  });
}

const proxy = await createProxy({ hooks }).listen();
console.log(
  `curl --proxy ${proxy.url} --cacert '${proxy.ca.paths.certificate}' https://api.example.com/users/1`,
);

// Ctrl-C lets running exchanges end.
process.once('SIGINT', () => void proxy.close());
process.once('SIGTERM', () => void proxy.close());
