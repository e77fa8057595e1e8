/**
 * Makes docs/errors.md from the table in src/base/errors.ts (as it was built).
 *
 * `--from FILE` takes another build of base/errors.js; `--print` writes to stdout instead.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { at, script } from './lib/project.mjs';

/** @typedef {import('../src/base/errors.js').ErrorEntry} ErrorEntry */

const intro = `# Errors

Made from the table in \`src/base/errors.ts\` by \`npm run docs:errors\`; edit the table, not this page.

A code is stable: responses, log lines, exit messages and events carry it, and scripts may match on it.
**Status** is what the client is told where it can still be told something. Where it cannot, because there
is no client (start-up) or no way to speak to it (a TLS handshake, a response that has begun), the
connection ends and the log has the code. **Proxy-Status** is the error type of
[RFC 9209, section 2.3](https://www.rfc-editor.org/rfc/rfc9209#section-2.3).
`;

/** What each phase is, in the order of the road. @type {Readonly<Record<ErrorEntry['phase'], string>>} */
const phases = {
  command: 'The command line',
  startup: 'Starting',
  accept: 'Accepting a connection',
  sniff: 'The first bytes of a connection',
  destination: 'Where the client wants to go',
  'client-handshake': 'The TLS handshake with the client',
  'request-head': 'The request head',
  'request-body': 'The request body',
  rules: 'Rules and hooks',
  connect: 'Connecting to the origin',
  'upstream-handshake': 'The TLS handshake with the origin',
  'response-head': 'The response head',
  'response-body': 'The response body',
  tunnel: 'Tunnels',
  shutdown: 'Shutting down',
  internal: 'Inside the proxy',
};

const header = `| Code | Status | What happened | What to do | Proxy-Status |\n|---|--:|---|---|---|\n`;

await script(async () => {
  const { values } = parseArgs({ options: { from: { type: 'string' }, print: { type: 'boolean' } } });
  const built = values.from === undefined ? at('dist', 'base', 'errors.js') : resolve(values.from);
  /** @type {typeof import('../src/base/errors.js')} */
  const { errorTable } = await import(pathToFileURL(built).href);
  const page = render(errorTable);
  if (values.print) {
    process.stdout.write(page);
    return;
  }
  const file = at('docs', 'errors.md');
  const before = await readFile(file, 'utf8').catch(() => '');
  if (before !== page) await writeFile(file, page);
});

/** @param {Readonly<Record<string, ErrorEntry>>} table */
function render(table) {
  const sections = Object.entries(phases).map(([phase, title]) => {
    const rows = Object.entries(table).filter(([, entry]) => entry.phase === phase);
    return rows.length === 0
      ? ''
      : `\n## ${title}\n\nPhase \`${phase}\`.\n\n${header}${rows.map(row).join('')}`;
  });
  return intro + sections.join('');
}

/** @param {[string, ErrorEntry]} row */
function row([code, { status, title, hint, proxyStatus }]) {
  const cells = [`\`${code}\``, status ?? '', title, hint, proxyStatus ? `\`${proxyStatus}\`` : ''];
  return `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |\n`;
}
