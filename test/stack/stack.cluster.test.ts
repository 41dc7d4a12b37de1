import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isFree } from '@nanosync/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { USUAL_PORTS } from './options.ts';
import { hasEnded, identify, isAlive, signalProcess } from './running-process.ts';
import { readRecord, writeRecord } from './stack-record.ts';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'nanosync-up-'));
});

afterEach(async () => {
  await stack('down', '--clean');
});

test('up, status and down start, ask and stop services in the background', { timeout: 300_000 }, async () => {
  expect(await stack('status')).toMatchObject({ code: 1, output: expect.stringContaining('No stack is up') });
  const up = await stack('up', '--free-ports', '--services', 'redis,postgres');
  expect(up).toMatchObject({ code: 0, output: expect.stringMatching(/postgres:\/\/\S+ .*postgres\.log/) });
  expect(await stack('status')).toMatchObject({ code: 0, output: expect.stringMatching(/redis +redis:\/\/127.0.0.1:\d+ +answers/) });
  const again = await stack('up', '--services', 'redis');
  expect(again).toMatchObject({ code: 0, output: expect.stringContaining('up already') });
  expect(await stack('up', '--services', 'redis,kafka')).toMatchObject({ code: 1, output: expect.stringContaining('up without kafka') });
  expect(await stack('down')).toMatchObject({ code: 0, output: expect.stringContaining('Down.') });
  expect(await stack('down')).toMatchObject({ code: 0, output: expect.stringContaining('No stack is up') });
});

test('status names a service that has died, and its keeper ends the others however it ends', { timeout: 300_000 }, async () => {
  await stack('up', '--free-ports', '--services', 'redis,postgres');
  const record = readRecord(directory);
  const redis = identify(
    Number(
      /\((\d+)\)|^(\d+):M/m
        .exec(readFileSync(join(directory, 'redis/redis.log'), 'utf8'))
        ?.slice(1)
        .find(Boolean),
    ),
  );
  if (record === undefined || redis === undefined) throw new Error('nothing was recorded');
  signalProcess(redis, 'SIGKILL');
  await hasEnded(redis, 10_000);
  expect(await stack('status')).toMatchObject({ code: 1, output: expect.stringContaining('redis did not answer') });
  signalProcess(record.keeper, 'SIGKILL');
  await hasEnded(record.keeper, 10_000);
  const port = Number(new URL((record.services.find(({ name }) => name === 'postgres')?.address as { dsn: string }).dsn).port);
  await expect.poll(() => isFree(port), { timeout: 60_000 }).toBe(true);
  expect(await stack('down')).toMatchObject({ code: 0, output: expect.stringContaining('ended before') });
});

test('of two that start together one has the directory', { timeout: 300_000 }, async () => {
  const both = await Promise.all([1, 2].map(() => stack('up', '--free-ports', '--services', 'redis')));
  expect(both.map(({ code }) => code).sort()).toEqual([0, 1]);
  expect(await stack('status')).toMatchObject({ code: 0 });
});

test('down leaves a process alone that has the id of one that ended', { timeout: 300_000 }, async () => {
  const stranger = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  const known = identify(stranger.pid as number);
  if (known === undefined) throw new Error('the process did not start');
  writeRecord(directory, { keeper: { ...known, began: 'at another time' }, services: [] });
  expect(await stack('down')).toMatchObject({ code: 0, output: expect.stringContaining("another process's now") });
  expect(isAlive(known)).toBe(true);
  stranger.kill();
});

test('up names a port that is taken, and the way out', { timeout: 300_000 }, async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.once('error', () => resolve()).listen(USUAL_PORTS.redis, '127.0.0.1', resolve));
  const said = await stack('up', '--services', 'redis');
  other.close();
  expect(said).toMatchObject({ code: 1, output: expect.stringMatching(/Port 16379, which is for redis, is taken.*--free-ports/) });
});

test.each([
  [['--help'], 0, /npm run stack -- up/],
  [[], 2, /Say up, status, down or install/],
  [['up', '--service', 'x'], 2, /no flag --service/],
  [['up', '--services', 'oracle'], 2, /no service oracle; there are kafka/],
  [['up', '--services'], 2, /--services needs a value/],
] as const)('%j ends with %d', { timeout: 300_000 }, async (args, code, output) => {
  expect(await run(args)).toMatchObject({ code, output: expect.stringMatching(output) });
});

function stack(...args: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  return run([...args, '--directory', directory]);
}

function run(args: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })));
}
