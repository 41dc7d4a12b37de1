import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { systemClock } from '@nanosync/runtime';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openEmbeddedBusForReading } from './embedded-bus.ts';
import { numberedSend } from './testing/numbered-sends.ts';

const CHILD = join(import.meta.dirname, 'testing/writer-child.ts');
const TOPIC = 'nanosync.test.rows';

let directory: string;
let child: ChildProcess | undefined;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'nanosync-bus-'));
});
afterEach(() => {
  child?.kill('SIGKILL');
  rmSync(directory, { recursive: true });
});

/** Starts a writer in a process of its own and returns once it has been acknowledged so many sends. */
async function writer(mode: string, acknowledged: number): Promise<ChildProcess> {
  const started = spawn(process.execPath, [CHILD, directory, mode, TOPIC], { stdio: ['ignore', 'pipe', 'inherit'] });
  child = started;
  let seen = 0;
  await new Promise<void>((resolve) => createInterface({ input: started.stdout }).on('line', () => ++seen === acknowledged && resolve()));
  return started;
}

test('reads beside the process that writes, what it wrote before and what it writes meanwhile', { timeout: 30_000 }, async () => {
  const writing = await writer('endless', 10);
  const { bus, registry } = await openEmbeddedBusForReading({ directory, clock: systemClock() });
  const before = (await bus.topic(TOPIC))?.partitions[0]?.end ?? 0;
  const reader = await bus.reader(TOPIC, 0, 0);
  let read = 0;
  while (read < before + 50) {
    const messages = await reader.read({ maxBytes: 1_048_576, waitMs: 5000 });
    for (const { offset } of messages) expect(offset).toBe(read++);
  }
  expect(writing.exitCode).toBeNull();
  await expect(registry.schema(1)).rejects.toThrow('The registry has no schema 1.');
  await bus[Symbol.asyncDispose]();
});

test('writes nothing: no file is made, nothing is removed, and every step that would write is refused', { timeout: 30_000 }, async () => {
  const writing = await writer('endless', 3);
  writing.kill('SIGKILL');
  await new Promise((resolve) => writing.once('close', resolve));
  const files = readdirSync(directory, { recursive: true }).sort();
  const { bus, registry } = await openEmbeddedBusForReading({ directory, clock: systemClock() });
  const producer = await bus.producer();
  const refused = 'This bus was opened for reading and cannot be written.';
  await expect(producer.send(TOPIC, 0, numberedSend(0))).rejects.toThrow(refused);
  await expect(bus.ensureTopic('nanosync.other', 1)).rejects.toThrow(refused);
  await expect(bus.trim(TOPIC, 0, 1)).rejects.toThrow(refused);
  await expect(bus.deleteTopic(TOPIC)).rejects.toThrow(refused);
  await expect(registry.register('subject', '"int"')).rejects.toThrow(refused);
  await bus[Symbol.asyncDispose]();
  expect(readdirSync(directory, { recursive: true }).sort()).toEqual(files);
});

test('a folder without a bus is refused and stays as it is', async () => {
  await expect(openEmbeddedBusForReading({ directory, clock: systemClock() })).rejects.toThrow('holds no bus yet');
  expect(readdirSync(directory)).toEqual([]);
});
