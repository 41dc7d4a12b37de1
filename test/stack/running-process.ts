import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** A process that can be told from a later one with the same id. */
export interface RunningProcess {
  readonly pid: number;
  /** When it began, in whatever form the system says that. */
  readonly began: string;
}

/** The process with that id, or undefined when there is none. */
export function identify(pid: number): RunningProcess | undefined {
  const began = process.platform === 'linux' ? beganOnLinux(pid) : beganByPs(pid);
  return began === undefined ? undefined : { pid, began };
}

/** Whether it still runs: a process with its id that began at another time is a stranger. */
export function isAlive({ pid, began }: RunningProcess): boolean {
  return identify(pid)?.began === began;
}

/** Sends a signal, unless the id belongs to a stranger or to nobody by now. */
export function signalProcess(known: RunningProcess, name: NodeJS.Signals): void {
  if (!isAlive(known)) return;
  try {
    process.kill(known.pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Waits until it has ended; false when it has not by then. */
export async function hasEnded(known: RunningProcess, withinMs: number): Promise<boolean> {
  for (const deadline = Date.now() + withinMs; isAlive(known); await delay(50)) if (Date.now() > deadline) return false;
  return true;
}

/** Clock ticks from the system's start, and the system's start itself, since ticks begin again with it. The command's name may contain blanks. */
function beganOnLinux(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (state === 'Z' || state === 'X') return undefined; // It has ended, and its parent has not looked yet.
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${fields[18]}`;
  } catch {
    return undefined;
  }
}

function beganByPs(pid: number): string | undefined {
  const said = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  }).stdout?.trim();
  return said === '' ? undefined : said;
}
