import { ENTER, LEAVE } from './paint.ts';
import type { Terminal } from './terminal.ts';

/** A size that every terminal has had, for one that does not tell its own. */
const DEFAULT_SIZE = { columns: 80, rows: 24 };

/** True where this process sits at a terminal that can be painted on; `kind` is what `TERM` says. */
export function isScreen(kind: string | undefined): boolean {
  return process.stdin.isTTY === true && process.stdout.isTTY === true && kind !== 'dumb';
}

/** Takes this process's terminal. It is given back when disposed, and however else the process ends, but for a kill that cannot be heard. */
export function openTerminal(): Terminal {
  const { stdin, stdout } = process;
  const gone = new AbortController();
  const listeners: (() => void)[] = [];
  let isTaken = true;
  const giveBack = () => {
    if (!isTaken) return;
    isTaken = false;
    try {
      stdin.setRawMode(false);
      stdout.write(LEAVE); // To a terminal it is written at once, also while the process exits.
    } catch {
      // It is gone, so nobody sees it.
    }
  };
  const lost = () => gone.abort();
  process.on('exit', giveBack);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  stdin.on('end', lost);
  stdin.on('error', lost);
  stdin.resume();
  stdout.write(ENTER);
  return {
    gone: gone.signal,
    // Asked anew and not as Node remembers it: the signal of a resize does not reach a process that another one handed over to.
    size: () => {
      const [columns, rows] = stdout.getWindowSize();
      return columns > 0 && rows > 0 ? { columns, rows } : DEFAULT_SIZE;
    },
    write: (text) => {
      stdout.write(text);
    },
    onInput: (listener) => {
      stdin.on('data', listener);
      listeners.push(() => stdin.off('data', listener));
    },
    onResize: (listener) => {
      stdout.on('resize', listener);
      listeners.push(() => stdout.off('resize', listener));
    },
    [Symbol.dispose]: () => {
      for (const stop of listeners) stop();
      stdin.off('end', lost);
      stdin.pause();
      giveBack();
      process.off('exit', giveBack);
    },
  };
}
