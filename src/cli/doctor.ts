/** `sallyport doctor`: is everything there that an intercepted request needs? */
import { readFile } from 'node:fs/promises';
import { SallyportError } from '../base/errors.js';
import { findJemalloc, thisMachine } from './allocator.js';
import { painter, wantsColor } from './colors.js';
import type { commands } from './commands.js';
import {
  type Check,
  checkAllocator,
  checkAuthority,
  checkNode,
  checkNodeTrust,
  checkNoProxy,
  checkOpenFiles,
  checkPort,
  checkProxyVariables,
  checkRequest,
  checkSystemTrust,
  checkVerification,
} from './doctor-checks.js';
import type { OptionValues } from './options.js';
import { print } from './output.js';
import { safeJson, safeText } from './text.js';
import { packageVersion } from './version.js';

type DoctorArguments = OptionValues<typeof commands.doctor.options>;

/** Prints every check. Rejects with `ERR_DOCTOR` when one has failed. */
export async function doctor(typed: DoctorArguments): Promise<number> {
  const checks = await runChecks(typed);
  const failed = checks.filter(({ status }) => status === 'failed').length;
  if (typed.json) {
    await print(`${safeJson({ version: packageVersion(), ok: failed === 0, checks })}\n`);
  } else {
    const color = wantsColor(typed.noColor, process.env, process.stdout.isTTY);
    await print(`${renderChecks(checks, color)}\n`);
  }
  if (failed > 0) {
    throw new SallyportError('ERR_DOCTOR', `${failed} of ${checks.length} checks failed`);
  }
  return 0;
}

async function runChecks({ caDir, host, port }: DoctorArguments): Promise<readonly Check[]> {
  const { node, openssl } = process.versions;
  const { checks, authority } = await checkAuthority(caDir, Date.now());
  const trust = authority
    ? [await checkSystemTrust(authority), await checkNodeTrust(authority, process.env)]
    : [];
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => undefined);
  return [
    checkNode(node, openssl),
    ...checks,
    ...trust,
    await checkPort(host, port),
    checkProxyVariables(process.env, host, port),
    checkNoProxy(process.env),
    ...checkVerification(process.env),
    ...checkOpenFiles(limits),
    checkAllocator(await findJemalloc(thisMachine())),
    await checkRequest(authority ? caDir : undefined),
  ];
}

/** A line per check, its advice below it. */
export function renderChecks(checks: readonly Check[], color: boolean): string {
  const paint = painter(color);
  const marks = { ok: paint('green', '✓'), warning: paint('yellow', '!'), failed: paint('red', '✗') };
  return checks
    .flatMap(({ name, status, found, advice }) => [
      `${marks[status]} ${paint('bold', name)}: ${safeText(found)}`,
      ...(advice === undefined ? [] : [`  → ${safeText(advice)}`]),
    ])
    .join('\n');
}
