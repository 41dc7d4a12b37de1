import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const BIN = fileURLToPath(new URL('../../services/cli/bin/nanosync.js', import.meta.url));
/** A command that has neither ended nor been refused by then is killed. */
const PATIENCE_MS = 30_000;

/** How a command ended: its exit status (null when it was killed) and what it printed. */
export interface Ended {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

/** A `nanosync` that was started as a user does. */
export interface NanosyncProcess {
  readonly child: ChildProcess;
  /** What it printed so far. */
  readonly out: () => string;
  readonly ended: Promise<Ended>;
  /** Resolves once the output matches; rejects when the process ends before. */
  until(pattern: RegExp): Promise<void>;
}

/** Starts `nanosync` with these arguments; `env` is added to ours. */
export function startNanosync(args: readonly string[], env: Readonly<Record<string, string>> = {}): NanosyncProcess {
  const child = spawn(process.execPath, [BIN, ...args], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  const looks = new Set<() => void>();
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
    for (const look of looks) look();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  const ended = new Promise<Ended>((resolve) => child.once('close', (status) => resolve({ status, out, err })));
  const until = (pattern: RegExp) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (!pattern.test(out)) return;
        looks.delete(look);
        resolve();
      };
      looks.add(look);
      look();
      void ended.then(() => reject(new Error(`nanosync ended before ${pattern}:\n${out}\n${err}`)));
    });
  return { child, out: () => out, ended, until };
}

/** Runs `nanosync` to its end. One that goes on (a server that was not refused) is killed, with status null. */
export async function nanosync(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const { child, ended } = startNanosync(args, env);
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  try {
    return await ended;
  } finally {
    clearTimeout(timer);
  }
}
