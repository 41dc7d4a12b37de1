import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { type NanosyncProcess, nanosync, startNanosync } from './nanosync-process.ts';

const PATIENCE = { timeout: 60_000 };
const root = mkdtempSync(join(tmpdir(), 'nanosync-logs-'));
const dataDir = ['--data-dir', join(root, 'data')];
const started: NanosyncProcess[] = [];

afterEach(() => {
  for (const { child } of started) child.kill('SIGKILL');
  rmSync(root, { recursive: true, force: true });
});

function start(): NanosyncProcess {
  const running = startNanosync(['start', ...dataDir, '--log-format', 'human']);
  started.push(running);
  return running;
}

const logs = async (...args: readonly string[]) => (await nanosync(['logs', ...dataDir, ...args])).out.split('\n').filter(Boolean);

test('the lines of a server can be read while it runs, those of the one before it too, and be followed', PATIENCE, async () => {
  const first = start();
  await first.until(/no pipelines yet/);
  // Kept a moment after they were printed.
  await vi.waitFor(async () => expect((await logs()).join('\n')).toContain('INF no pipelines yet next="nanosync apply'), PATIENCE);
  const printed = first
    .out()
    .split('\n')
    .filter((line) => line.startsWith('INF '));
  expect(printed).toEqual(expect.arrayContaining([(await logs())[0]]));
  first.child.kill('SIGINT');
  expect((await first.ended).status).toBe(0);
  const second = start();
  await second.until(/no pipelines yet/);
  await vi.waitFor(async () => expect(await logs()).toContain('INF nanosync stopped'), PATIENCE);
  const following = startNanosync(['logs', '--follow', '--json', ...dataDir]);
  started.push(following);
  await following.until(/nanosync stopped/);
  second.child.kill('SIGINT');
  expect((await second.ended).status).toBe(0);
  const { out } = await following.ended; // Its server is gone.
  for (const line of out.trim().split('\n')) expect(JSON.parse(line)).toMatchObject({ level: 'info', msg: expect.any(String) });
});
