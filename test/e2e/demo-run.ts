import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

const DEMO = fileURLToPath(new URL('../demo/main.ts', import.meta.url));

/** How a demo ended. */
export interface DemoEnd {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
}

/** Runs demos in a temporary folder of its own, and knows what they left behind. */
export class DemoRuns implements Disposable {
  readonly #temporary = mkdtempSync(join(tmpdir(), 'demo-e2e-'));

  constructor() {
    chmodSync(this.#temporary, 0o711);
  }

  /** Runs the demo; `meet` sees its output as it comes. */
  async run(args: readonly string[], meet?: (output: string, child: ChildProcess) => void): Promise<DemoEnd> {
    const env = { ...process.env, TMPDIR: this.#temporary };
    const child = spawn(process.execPath, [DEMO, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      meet?.(output, child);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString();
    });
    const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { status, output, errors };
  }

  /** Folders, and processes that were started with a path in ours. */
  leftovers(): readonly string[] {
    const folders = readdirSync(this.#temporary).filter((name) => !name.startsWith('nanosync-postgres-'));
    const pids = existsSync('/proc') ? readdirSync('/proc') : []; // Elsewhere only the folders are looked for.
    const processes = pids.filter((pid) => /^\d+$/.test(pid) && commandOf(pid).includes(join(this.#temporary, 'nanosync-shop')));
    return [...folders, ...processes.map(commandOf)];
  }

  [Symbol.dispose](): void {
    rmSync(this.#temporary, { recursive: true, force: true });
  }
}

/** Runs a small demo whose sink is spoiled before the comparison, which must find that and nothing else. */
export async function expectSpoiled(runs: DemoRuns, how: 'cell' | 'drop' | 'double', finding: string): Promise<void> {
  const { status, output } = await runs.run(['--rows', '5000', '--seconds', '0', '--no-crash', '--json', '--tamper', how]);
  const result = JSON.parse(output.trimEnd().split('\n').at(-1) ?? '');
  expect(result.findings, output).toEqual([expect.stringMatching(new RegExp(`^public\\.products \\(id=\\d+\\): ${finding}$`))]);
  expect([result.missing, result.extra, result.different].sort()).toEqual([0, 0, 1]);
  expect(result.ok).toBe(false);
  expect(status).toBe(1);
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // It has ended.
  }
}
