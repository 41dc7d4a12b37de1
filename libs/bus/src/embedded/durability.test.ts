import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OutMessage } from '@nanosync/core';
import { systemClock } from '@nanosync/runtime';
import { FakeClock } from '@nanosync/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openEmbeddedBus } from './embedded-bus.ts';
import { numberedSend, readFrom } from './testing/numbered-sends.ts';

const CHILD = join(import.meta.dirname, 'testing/writer-child.ts');
const TOPIC = 'nanosync.test.rows';
const MEGABYTE = 1_048_576;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'nanosync-bus-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

test('after kill -9 at any instant all acknowledged sends are there, in order, in one piece', { timeout: 60_000 }, async () => {
  for (const kills of [1, 3, 10, 27, 40, 75, 110, 150]) {
    const acknowledged = [0, 0, 0];
    let acknowledgements = 0;
    const child = startChild('endless');
    await lines(child, (line) => {
      const [partition, end] = line.split(' ').map(Number) as [number, number];
      acknowledged[partition] = end;
      if (++acknowledgements === kills) child.kill('SIGKILL');
    });
    expect(acknowledgements).toBeGreaterThanOrEqual(kills);
    await using opened = await open();
    for (const [partition, { end }] of (await opened.bus.topic(TOPIC))?.partitions.entries() ?? []) {
      expect(end).toBeGreaterThanOrEqual(acknowledged[partition] as number);
      await readFrom(opened.bus, TOPIC, partition);
    }
  }
});

test('after kill -9 within a trim or a deletion nothing is left over', { timeout: 60_000 }, async () => {
  for (const kills of [4, 5, 6, 7, 14, 20, 21, 28]) {
    let reports = 0;
    const child = startChild('churn');
    await lines(child, () => ++reports === kills && child.kill('SIGKILL'));
    await using opened = await open();
    const range = (await opened.bus.topic(TOPIC))?.partitions[0] ?? { start: 0, end: 0 };
    if (range.end > 0) {
      const reader = await opened.bus.reader(TOPIC, 0, range.start);
      expect(await reader.read(ALL)).toHaveLength(range.end - range.start);
    }
    await opened.bus.deleteTopic(TOPIC);
    expect(readdirSync(join(directory, 'segments'))).toEqual([]);
  }
});

test('two processes write the same bus partition, and one reads what the other wrote', { timeout: 30_000 }, async () => {
  await using opened = await open();
  await opened.bus.ensureTopic(TOPIC, 1);
  const reader = await opened.bus.reader(TOPIC, 0, 0);
  const first = reader.read({ maxBytes: 1, waitMs: 20_000 });
  const child = startChild('count', '150');
  const ended = lines(child, () => undefined);
  expect(Buffer.from((await first)[0]?.key ?? []).toString()).toBe('child 0 0 1');
  const producer = await opened.bus.producer();
  for (let send = 0; send < 150; send++) await producer.send(TOPIC, 0, numberedSend(send, 'parent'));
  await ended;
  const writers = await readFrom(opened.bus, TOPIC, 0);
  expect(writers.filter((one) => one === 'child')).toHaveLength(150);
  expect(writers.filter((one) => one === 'parent')).toHaveLength(150);
});

test.each([
  ['messages', '400000', 1000],
  ['the index', '1', 90],
])('when the disk takes no more %s the send fails, and what was acknowledged stays', async (_what, bytes, kilobytes) => {
  const acknowledged: number[] = [];
  await lines(startChild('full', bytes, kilobytes), (line) => acknowledged.push(Number(line.split(' ')[1])));
  expect(acknowledged[0]).toBeGreaterThan(1);
  await using opened = await open();
  expect((await opened.bus.topic(TOPIC))?.partitions[0]?.end).toBe(acknowledged[0]);
  const producer = await opened.bus.producer();
  expect(await producer.send(TOPIC, 0, [{ key: Buffer.alloc(0), value: Buffer.alloc(1) }])).toEqual({
    end: (acknowledged[0] as number) + 1,
  });
});

test('trimming gives space back: neither segments nor index grow for ever', async () => {
  await using opened = await open();
  await opened.bus.ensureTopic(TOPIC, 2);
  const producer = await opened.bus.producer();
  const sizes: number[] = [];
  for (let round = 0; round < 30; round++) {
    const small = Array.from({ length: 300 }, () => producer.send(TOPIC, 1, messages(1, 50)));
    await Promise.all([producer.send(TOPIC, 0, messages(6, MEGABYTE / 2)), ...small]);
    for (const [partition, { end }] of (await opened.bus.topic(TOPIC))?.partitions.entries() ?? [])
      await opened.bus.trim(TOPIC, partition, end);
    sizes.push(sizeOf(directory));
  }
  expect(Math.max(...sizes)).toBeLessThan(6 * MEGABYTE);
  expect(Math.max(...sizes.slice(10))).toBeLessThan((sizes[9] as number) + 2 * MEGABYTE);
  await opened.bus.deleteTopic(TOPIC);
  expect(readdirSync(join(directory, 'segments'))).toEqual([]);
});

test('a trim within a segment keeps the rest, across reopening', async () => {
  {
    await using opened = await open();
    await opened.bus.ensureTopic(TOPIC, 1);
    const producer = await opened.bus.producer();
    for (let send = 0; send < 20; send++) await producer.send(TOPIC, 0, messages(3, 100_000));
    await opened.bus.trim(TOPIC, 0, 31);
  }
  await using opened = await open();
  const reader = await opened.bus.reader(TOPIC, 0, 31);
  const offsets: number[] = [];
  for (let some = await reader.read(ALL); some.length > 0; some = await reader.read(ALL)) offsets.push(...some.map(({ offset }) => offset));
  expect(offsets).toEqual(Array.from({ length: 29 }, (_, at) => 31 + at));
});

test('bytes that changed on disk, or are gone, are a gap and never a message', async () => {
  await using opened = await open();
  await opened.bus.ensureTopic(TOPIC, 1);
  const producer = await opened.bus.producer();
  await producer.send(TOPIC, 0, messages(1, 100));
  await producer.send(TOPIC, 0, messages(1, 100));
  const segment = join(directory, 'segments', readdirSync(join(directory, 'segments'))[0] as string);
  const bytes = readFileSync(segment);
  bytes[60] = (bytes[60] as number) ^ 1;
  writeFileSync(segment, bytes);
  await expect((await opened.bus.reader(TOPIC, 0, 0)).read(ALL)).rejects.toMatchObject({ kind: 'gap' });
  expect(await (await opened.bus.reader(TOPIC, 0, 1)).read(ALL)).toHaveLength(1);
  writeFileSync(segment, bytes.subarray(0, 150));
  await expect((await opened.bus.reader(TOPIC, 0, 1)).read(ALL)).rejects.toMatchObject({ kind: 'gap' });
});

test('a segment file that no index entry names is removed when the bus is opened', async () => {
  await (await open())[Symbol.asyncDispose]();
  writeFileSync(join(directory, 'segments', '0000000777.log'), 'rubbish of a crash');
  await using _opened = await open();
  expect(readdirSync(join(directory, 'segments'))).toEqual([]);
});

test('a directory of a newer version, or of something else, is refused', async () => {
  await (await open())[Symbol.asyncDispose]();
  writeFileSync(join(directory, 'format'), 'nanosync bus 2\n');
  await expect(open()).rejects.toMatchObject({ kind: 'newer-version' });
  writeFileSync(join(directory, 'format'), 'something else');
  await expect(open()).rejects.toMatchObject({ kind: 'prerequisite' });
  rmSync(join(directory, 'format'));
  await expect(open()).rejects.toMatchObject({ kind: 'prerequisite' });
});

test('the files can be read by their owner alone', async () => {
  const inner = join(directory, 'inner');
  const { bus } = await openEmbeddedBus({ directory: inner, clock: new FakeClock() });
  await bus.ensureTopic(TOPIC, 1);
  await (await bus.producer()).send(TOPIC, 0, messages(1, 1));
  const modes = ['', 'segments', 'index.mdb', 'index.mdb-lock', 'format', join('segments', '0000000001.log')].map(
    (name) => statSync(join(inner, name)).mode & 0o777,
  );
  expect(modes).toEqual([0o700, 0o700, 0o600, 0o600, 0o600, 0o600]);
  await bus[Symbol.asyncDispose]();
});

const ALL = { maxBytes: 64 * MEGABYTE, waitMs: 0 };

async function open() {
  const { bus, registry } = await openEmbeddedBus({ directory, clock: systemClock(), segmentBytes: MEGABYTE });
  return { bus, registry, [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose]() };
}

function messages(count: number, bytes: number): readonly OutMessage[] {
  return Array.from({ length: count }, () => ({ key: Buffer.from('key'), value: Buffer.alloc(bytes, 1) }));
}

/** Starts the writer; with `kilobytes` no file of it can grow larger. */
function startChild(mode: string, number = '0', kilobytes?: number): ChildProcess {
  const args = [CHILD, directory, mode, TOPIC, number];
  const limit = kilobytes === undefined ? '' : `ulimit -f ${kilobytes * 2};`;
  return spawn('/bin/sh', ['-c', `${limit} exec "$@"`, 'sh', process.execPath, ...args], {
    stdio: ['ignore', 'pipe', kilobytes === undefined ? 'inherit' : 'ignore'],
  });
}

/** Hears every line of the child until its output ends. */
async function lines(child: ChildProcess, hear: (line: string) => unknown): Promise<void> {
  let rest = '';
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    const whole = (rest + chunk.toString()).split('\n');
    rest = whole.pop() ?? '';
    for (const line of whole) hear(line);
  }
  if (child.exitCode === null && child.signalCode === null) await new Promise((resolve) => child.once('exit', resolve));
}

function sizeOf(path: string): number {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}
