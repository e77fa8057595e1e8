/** What a test set up and has to clear away, last things first, whether it passed or failed. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

type Clearing = () => unknown;

const stages = new WeakMap<TestContext, Clearing[]>();

/** Has `clear` called when the test has ended, before what was set up earlier is cleared. */
export function later(t: TestContext, clear: Clearing): void {
  const known = stages.get(t);
  if (known) {
    known.push(clear);
    return;
  }
  const stage = [clear];
  stages.set(t, stage);
  t.after(async () => {
    const failures: unknown[] = [];
    // A test that awaited a handshake ends on OpenSSL's stack: destroying a TLS socket's own socket and then
    // the TLS socket would take the memory from under its feet (Node 20).
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    for (const step of stage.toReversed()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, 'clearing away failed in several ways');
  });
}

/** An empty directory for the time of the test. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-test-'));
  later(t, () => rm(directory, { recursive: true, force: true }));
  return directory;
}
