/**
 * Which process holds something on this machine, told so that another process can find out whether it still
 * runs. A number alone would not do: numbers are used again, and another container counts its own.
 */
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { systemCode } from './authority-files.js';

/** A process of some machine, as it is written into names: digits and lower-case letters. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, in clock ticks since boot: the same number started later is another process. */
  readonly start: string;
  /**
   * A digest of the boot of the machine and the namespace that `pid` counts in; `none` where nothing tells.
   */
  readonly place: string;
}

const unknownPlace = 'none';

/**
 * This process. Where there is no `/proc`, nobody can tell whether it runs, and its leases have to run out.
 */
export function currentProcess(): ProcessIdentity {
  const { pid } = process;
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1');
    const namespaces = ['pid', 'time'].map((name) => readlinkSync(`/proc/self/ns/${name}`));
    const place = createHash('sha256')
      .update([boot, ...namespaces].join(' '))
      .digest('hex')
      .slice(0, 16);
    const status = parseStatus(readFileSync('/proc/self/stat', 'latin1'));
    // A /proc of another namespace would tell about other processes.
    if (status?.pid === pid) return { pid, start: status.start, place };
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
  }
  return { pid, start: '0', place: unknownPlace };
}

/** Whether `holder` has certainly ended, as `self` can tell. `false` also when it cannot. */
export async function hasEnded(holder: ProcessIdentity, self: ProcessIdentity): Promise<boolean> {
  if (self.place === unknownPlace || holder.place !== self.place) return false;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // Asked first: a /proc that hides the processes of others makes them look gone. EPERM: it runs.
    if (systemCode(error) === 'ESRCH') return true;
  }
  let status: Status | undefined;
  try {
    status = parseStatus(await readFile(`/proc/${holder.pid}/stat`, 'latin1'));
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
  }
  if (!status) return false;
  // Z and X: it has ended, and its parent has not asked how.
  return status.start !== holder.start || status.state === 'Z' || status.state === 'X';
}

interface Status {
  readonly pid: number;
  readonly state: string;
  readonly start: string;
}

/** Fields 1, 3 and 22 of proc_pid_stat(5). Field 2 is in parentheses and may hold any character. */
function parseStatus(text: string): Status | undefined {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, start] = [fields[0], fields[19]];
  if (state === undefined || start === undefined || !/^\d+$/.test(start)) return undefined;
  return { pid: Number.parseInt(text, 10), state, start };
}
