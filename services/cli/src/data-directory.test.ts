import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { claimDirectory, dataDirectoryOf, isServed } from './data-directory.ts';

it('has one owner at a time, across processes, until that one ends, however it ends', async () => {
  const root = mkdtempSync(join(tmpdir(), 'nanosync-data-'));
  const directory = dataDirectoryOf(root);
  const module = fileURLToPath(new URL('./data-directory.ts', import.meta.url));
  const script = `
    const { claimDirectory, dataDirectoryOf } = await import(${JSON.stringify(module)});
    globalThis.claim = claimDirectory(dataDirectoryOf(${JSON.stringify(root)}));
    console.log('claimed');
    setInterval(() => {}, 1000);`;
  const other = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => other.once('exit', resolve));
  try {
    await new Promise((resolve) => other.stdout.once('data', resolve));
    expect(isServed(directory)).toBe(true);
    expect(() => claimDirectory(directory)).toThrow(`is already served by another nanosync (process ${other.pid})`);
    other.kill('SIGKILL');
    await ended;
    expect(isServed(directory)).toBe(false);
    using _claim = claimDirectory(directory);
    expect(readFileSync(join(root, 'server'), 'utf8').trim()).toBe(String(process.pid));
    expect(() => claimDirectory(directory)).toThrow('is already served');
  } finally {
    other.kill('SIGKILL');
    rmSync(root, { recursive: true });
  }
});
