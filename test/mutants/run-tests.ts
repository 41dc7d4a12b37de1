import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NamedTest } from './mutant.ts';
import { titlePattern } from './mutant.ts';
import type { Report } from './report.ts';

/** A mutant may make a test wait for ever; its runner is ended after this time. */
const PATIENCE_MS = 240_000;
const ENDING_MS = 5000;

/** How a command ended, and the end of what it said. */
export interface Ended {
  readonly code: number | null;
  readonly said: string;
}

/** Runs just these tests of the workspace at `root`, in one start of vitest. */
export async function runTests(root: string, tests: readonly NamedTest[], signal: AbortSignal): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), 'nanosync-report-'));
  const file = join(folder, 'report.json');
  try {
    const { said } = await runNode(
      root,
      [
        'node_modules/vitest/vitest.mjs',
        'run',
        ...unique(tests.map(({ project }) => `--project=${project}`)),
        ...unique(tests.map((test) => test.file)),
        `--testNamePattern=${unique(tests.map(({ title }) => titlePattern(title))).join('|')}`,
        '--reporter=json',
        `--outputFile=${file}`,
      ],
      signal,
    );
    if (!existsSync(file))
      return { testResults: tests.map(({ file: name }) => ({ name: `/${name}`, message: said, assertionResults: [] })) };
    return JSON.parse(readFileSync(file, 'utf8')) as Report;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs Node with these arguments in a process group of its own, which ends with the signal, once it has said `enough`, or after a long time. */
export async function runNode(root: string, args: readonly string[], signal: AbortSignal, enough?: RegExp): Promise<Ended> {
  signal.throwIfAborted();
  const child = spawn(process.execPath, args, {
    cwd: root,
    detached: true,
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const group = (name: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    } catch {
      // It has ended already.
    }
  };
  const timers: NodeJS.Timeout[] = [];
  const end = () => {
    group('SIGTERM');
    timers.push(setTimeout(() => group('SIGKILL'), ENDING_MS));
  };
  let said = '';
  const hear = (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-20_000);
    if (enough?.test(said) === true) end();
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  timers.push(setTimeout(end, PATIENCE_MS));
  signal.addEventListener('abort', end);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    signal.throwIfAborted();
    return { code, said };
  } finally {
    group('SIGKILL'); // Whatever it left running.
    for (const timer of timers) clearTimeout(timer);
    signal.removeEventListener('abort', end);
  }
}

function unique(values: readonly string[]): readonly string[] {
  return [...new Set(values)];
}
