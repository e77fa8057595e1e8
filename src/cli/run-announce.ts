/** What `sallyport run` says when it begins to listen. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Authority } from '../certs/index.js';
import { banner, exposureWarning, ownCommand } from './banner.js';
import { notice } from './output.js';
import { insecureWarning } from './proxy-options.js';
import type { RunArguments } from './run-arguments.js';
import { safeJson } from './text.js';
import { packageVersion } from './version.js';

export function announce(
  { ca, url: proxyUrl }: { readonly ca: Authority; readonly url: string },
  typed: RunArguments,
): void {
  if (!typed.quiet) {
    const isDefault = typed.caDir === join(homedir(), '.sallyport');
    const lines = banner({
      version: packageVersion(),
      proxyUrl,
      caPath: ca.paths.certificate,
      fingerprint256: ca.fingerprint256,
      created: ca.created,
      command: ownCommand(process.argv[1], process.cwd()),
      caDir: isDefault ? undefined : typed.caDir,
    });
    process.stderr.write(`${lines.join('\n')}\n`);
  }
  const exposure = exposureWarning(typed.host);
  if (exposure !== undefined) notice(`WARNING: ${exposure}`);
  if (typed.insecureUpstream) notice(insecureWarning);
  // The line that scripts wait for: always there, always plain.
  process.stdout.write(`listening on ${proxyUrl}\n`);
  if (typed.quiet || typed.logFormat !== 'json') return;
  const record = {
    time: new Date().toISOString(),
    event: 'listening',
    url: proxyUrl,
    version: packageVersion(),
    ca: { file: ca.paths.certificate, fingerprint256: ca.fingerprint256, created: ca.created },
  };
  process.stdout.write(`${safeJson(record)}\n`);
}
