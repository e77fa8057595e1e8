/** A proxy that changes header fields on their way. */
import { createProxy, pass, rewrite } from 'sallyport';

/** @type {import('sallyport').Hooks} */
const hooks = {
  request({ id, request }) {
    // A copy: order, case and duplicates of all other fields stay as the client sent them.
    return rewrite({ headers: request.headers.clone().set('X-Request-Id', id) });
  },

  response({ response }) {
    if (!response) return pass();
    const headers = response.headers.clone();
    headers.delete('X-Frame-Options');
    headers.delete('Content-Security-Policy');
    // There may be several, each on a line of its own.
    const cookies = headers.getAll('Set-Cookie');
    headers.delete('Set-Cookie');
    for (const cookie of cookies) headers.append('Set-Cookie', cookie.replace(/;\s*Secure(?=;|$)/i, ''));
    return rewrite({ headers });
  },
};

const proxy = await createProxy({ hooks }).listen();
console.log(
  `curl --proxy ${proxy.url} --cacert '${proxy.ca.paths.certificate}' --head https://www.example.com/`,
);

process.once('SIGINT', () => void proxy.close());
process.once('SIGTERM', () => void proxy.close());
