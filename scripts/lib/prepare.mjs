/** What every script needs first: tools installed and dist/ up to date, by one process at a time. */
import { ensureBuilt, isBuilt } from './build.mjs';
import { checkNode, ensureInstalled, isInstalled } from './install.mjs';
import { withLock } from './lock.mjs';

/**
 * Writes nothing where everything is in place, so that a read-only checkout works too.
 *
 * @param {{ showAll?: boolean }} [options] see `ensureBuilt`
 */
export async function prepare(options) {
  checkNode();
  if ((await isInstalled()) && (await isBuilt())) return;
  await withLock(async () => {
    await ensureInstalled();
    await ensureBuilt(options);
  });
}
