import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describeState, FakeClock } from '@nanosync/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openDatabase } from './database.ts';
import { openEmbeddedState } from './embedded-state.ts';

const CHILD = join(import.meta.dirname, 'testing/counting-child.ts');

describeState('embedded', async (clock) => {
  const folder = mkdtempSync(join(tmpdir(), 'nanosync-state-'));
  return {
    open: () => openEmbeddedState({ directory: folder, clock }),
    [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true }),
  };
});

let directory: string;
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'nanosync-state-')), 'state');
});
afterEach(() => rmSync(join(directory, '..'), { recursive: true }));

test('two processes that open and write at once lose no write of the other', { timeout: 30_000 }, async () => {
  const children = [startChild('100'), startChild('100'), startChild('100')];
  const said = await Promise.all(children.map((child) => numbers(child)));
  expect(said.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 300 }, (_, at) => at + 1));
  const state = await open();
  expect((await state.get('shared'))?.value).toBe(300);
  await state[Symbol.asyncDispose]();
});

test('after kill -9 at any instant every write that returned is there', { timeout: 30_000 }, async () => {
  for (const kills of [1, 7, 30, 100]) {
    const child = startChild('');
    let heard = 0;
    const said = await numbers(child, () => ++heard === kills && child.kill('SIGKILL'));
    const state = await open();
    const value = (await state.get('shared'))?.value as number;
    expect(value - (said.at(-1) as number)).toBeOneOf([0, 1]); // One may have been written and not been said.
    await state[Symbol.asyncDispose]();
  }
});

test('a commit is synced to disk in every opening', () => {
  for (let opening = 0; opening < 2; opening++) {
    const database = openDatabase(directory);
    expect(database.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' });
    expect(database.prepare('PRAGMA synchronous').get()).toEqual({ synchronous: 2 });
    database.close();
  }
});

test('state of a newer version is refused and not touched', async () => {
  await (await open())[Symbol.asyncDispose]();
  const database = new DatabaseSync(join(directory, 'state.db'));
  database.exec('PRAGMA user_version = 2');
  database.close();
  const refused = await open().catch((error: unknown) => error);
  expect(refused).toMatchObject({ kind: 'newer-version', message: expect.stringContaining('newer nanosync') });
});

test('a file that is no database is refused with a sentence', async () => {
  await (await open())[Symbol.asyncDispose]();
  writeFileSync(join(directory, 'state.db'), 'x'.repeat(5000));
  await expect(open()).rejects.toMatchObject({ name: 'PipelineError', kind: 'unavailable' });
});

test('the files can be read by their owner alone', async () => {
  const state = await open();
  await state.put('a', 1, 0);
  const modes = readdirSync(directory).map((name) => [name, statSync(join(directory, name)).mode & 0o777]);
  expect(modes.sort()).toEqual(['state.db', 'state.db-shm', 'state.db-wal'].map((name) => [name, 0o600]));
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  await state[Symbol.asyncDispose]();
});

test('opening prints no warning', async () => {
  const child = spawn(process.execPath, [CHILD, directory, '1'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let printed = '';
  for await (const chunk of child.stderr) printed += chunk;
  expect(printed).toBe('');
});

test('a closed store says so', async () => {
  const state = await open();
  await state[Symbol.asyncDispose]();
  await state[Symbol.asyncDispose]();
  await expect(state.get('a')).rejects.toMatchObject({ kind: 'unavailable' });
});

function open() {
  return openEmbeddedState({ directory, clock: new FakeClock() });
}

function startChild(times: string): ChildProcess {
  return spawn(process.execPath, [CHILD, directory, times], { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** The numbers that the child says until its output ends. */
async function numbers(child: ChildProcess, hear: () => unknown = () => undefined): Promise<readonly number[]> {
  let output = '';
  let heard = 0;
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    output += chunk.toString();
    for (const lines = output.split('\n').length - 1; heard < lines; heard++) hear();
  }
  return output.split('\n').slice(0, -1).map(Number);
}
