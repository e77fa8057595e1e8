/** `sallyport ca …`: look at the CA, take its certificate elsewhere, bring one along. */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SallyportError } from '../base/errors.js';
import { type Authority, encodeTrustStore, importAuthority, openAuthority } from '../certs/index.js';
import type { commands } from './commands.js';
import type { OptionValues } from './options.js';
import { print } from './output.js';
import { reasonOf } from './proxy-options.js';
import { safeJson, safeText } from './text.js';
import { renderTrustAdvice, trustAdvice, trustNames } from './trust-advice.js';

type Arguments<N extends keyof typeof commands> = OptionValues<(typeof commands)[N]['options']>;

/** Rejects with `ERR_CA_MISSING` where there is none (unless `create`), and as `openAuthority` does. */
export async function caShow({ caDir, create, json }: Arguments<'ca show'>): Promise<number> {
  const authority = await open(caDir, create);
  await print(json ? `${safeJson(describe(authority))}\n` : `${render(authority)}\n`);
  return 0;
}

/** Rejects as `caShow`, with `ERR_OPTION_VALUE` where binary would go to a terminal or FILE is not writable. */
export async function caExport(typed: Arguments<'ca export'>): Promise<number> {
  const { format, out } = typed;
  if (format !== 'pem' && out === undefined && process.stdout.isTTY) {
    throw new SallyportError(
      'ERR_OPTION_VALUE',
      `--format ${format} is binary and is not written to a terminal: give --out FILE`,
    );
  }
  const output = encode(await open(typed.caDir, typed.create), typed);
  if (out === undefined) {
    await print(output);
    return 0;
  }
  try {
    await writeFile(out, output, { mode: 0o644 });
  } catch (error) {
    throw new SallyportError('ERR_OPTION_VALUE', `--out cannot write ${out}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
  return 0;
}

/** Rejects as `importAuthority`, with `ERR_OPTION_VALUE` where a file cannot be read. */
export async function caImport(typed: Arguments<'ca import'>): Promise<number> {
  const { cert, key, caDir, passphraseFile } = typed;
  if (cert === undefined || key === undefined) {
    throw new SallyportError('ERR_OPTION_VALUE', 'ca import needs both --cert FILE and --key FILE');
  }
  const authority = await importAuthority({
    dir: caDir,
    certificatePem: await read('--cert', cert),
    keyPem: await read('--key', key),
    sources: { certificate: cert, key },
    ...(passphraseFile === undefined ? {} : { passphrase: await firstLine(passphraseFile) }),
  });
  await print(`${render(authority)}\n`);
  return 0;
}

/** Changes nothing: without `--print` it rejects with `ERR_OPTION_VALUE`. */
export async function caTrust(typed: Arguments<'ca trust'>): Promise<number> {
  if (!typed.print) {
    throw new SallyportError(
      'ERR_OPTION_VALUE',
      'ca trust changes nothing by itself: with --print it says what to run',
    );
  }
  const authority = await open(typed.caDir, typed.create);
  const subject = { caPath: authority.paths.certificate, spkiSha256: authority.publicKeySha256 };
  const names = typed.for.length === 0 ? trustNames : typed.for;
  const heading = [
    `CA: ${authority.paths.certificate}`,
    `SHA-256: ${authority.fingerprint256}`,
    'Whoever has its private key can impersonate any site to what trusts it. Undo the trust when it is no longer needed.',
  ];
  await print(`${heading.join('\n')}\n\n${renderTrustAdvice(trustAdvice(subject, names))}\n`);
  return 0;
}

/** The CA in `dir`. Rejects as `openAuthority` does, and with `ERR_CA_MISSING` where there is none. */
export function openExistingAuthority(dir: string): Promise<Authority> {
  return open(dir, false);
}

/** The CA in `dir`; where there is none, `create` decides between making it and `ERR_CA_MISSING`. */
async function open(dir: string, create: boolean): Promise<Authority> {
  try {
    return await openAuthority({ dir, create });
  } catch (error) {
    if (!create && (await isMissing(dir))) {
      throw new SallyportError('ERR_CA_MISSING', `${dir} holds no CA`, { cause: error });
    }
    throw error;
  }
}

/** Whether neither of the two files is there, as opposed to being there and unreadable. */
export async function isMissing(dir: string): Promise<boolean> {
  for (const name of ['ca.pem', 'ca-key.pem']) {
    try {
      await stat(join(dir, name));
      return false;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) return false;
    }
  }
  return true;
}

function encode(
  authority: Authority,
  { format, password }: { readonly format: 'pem' | 'der' | 'p12'; readonly password: string },
): string | Uint8Array {
  if (format === 'der') return authority.certificate.raw;
  if (format === 'pem') return authority.certificates.map(String).join('');
  return encodeTrustStore({
    certificates: authority.certificates.map(({ raw }) => raw),
    friendlyName: 'sallyport',
    password,
  });
}

/** The fields of `ca show --json`; their meaning is in docs/cli.md. */
function describe(authority: Authority): Readonly<Record<string, unknown>> {
  const { certificate, paths } = authority;
  return {
    certificate: paths.certificate,
    key: paths.key,
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    serial: certificate.serialNumber,
    notBefore: new Date(authority.notBefore).toISOString(),
    notAfter: new Date(authority.notAfter).toISOString(),
    keyType: keyType(authority),
    fingerprint256: authority.fingerprint256,
    publicKeySha256: authority.publicKeySha256,
    certificates: authority.certificates.length,
    created: authority.created,
  };
}

function render(authority: Authority): string {
  const { certificate, certificates, paths } = authority;
  const more = certificates.length > 1 ? ` and ${certificates.length - 1} above it` : '';
  const rows: readonly (readonly [string, string])[] = [
    ['certificate', `${paths.certificate}${more}`],
    ['private key', paths.key],
    ['subject', oneLine(certificate.subject)],
    ...(certificate.issuer === certificate.subject ? [] : [['issuer', oneLine(certificate.issuer)] as const]),
    ['key', keyType(authority)],
    ['valid from', new Date(authority.notBefore).toISOString()],
    ['valid to', new Date(authority.notAfter).toISOString()],
    ['SHA-256', authority.fingerprint256],
    ['SPKI SHA-256', authority.publicKeySha256],
  ];
  return rows.map(([term, text]) => `${term.padEnd(13)} ${safeText(text)}`).join('\n');
}

function keyType({ certificate: { publicKey } }: Authority): string {
  const { asymmetricKeyType = 'unknown', asymmetricKeyDetails: details } = publicKey;
  const size =
    details?.namedCurve ?? (details?.modulusLength === undefined ? '' : `${details.modulusLength} bit`);
  return `${asymmetricKeyType.toUpperCase()} ${size}`.trim();
}

function oneLine(name: string): string {
  return name.replaceAll('\n', ', ');
}

async function read(option: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new SallyportError('ERR_OPTION_VALUE', `${option} cannot read ${path}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

async function firstLine(path: string): Promise<string> {
  const text = await read('--passphrase-file', path);
  return text.split(/\r?\n/, 1)[0] ?? '';
}
