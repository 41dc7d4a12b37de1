import { writeSync } from 'node:fs';
import { argv } from 'node:process';
import { isKind } from '@nanosync/core';
import { systemClock } from '@nanosync/runtime';
import { openEmbeddedBus } from '../embedded-bus.ts';
import { numberedSend, readFrom } from './numbered-sends.ts';

/**
 * A process that the tests kill: `endless` sends to every partition of the topic until it is killed, going on where the topic
 * ends; `churn` fills, trims and deletes the topic until it is killed; `count` sends so many to partition 0; `full` sends until a send fails and then once more. Each acknowledgement is a line.
 */
const [, , directory = '', mode = '', name = '', number = '0'] = argv;
const { bus } = await openEmbeddedBus({ directory, clock: systemClock(), segmentBytes: 1_048_576 });

if (mode === 'endless') {
  const topic = await bus.ensureTopic(name, 3);
  await Promise.all(topic.partitions.map((_, partition) => endless(partition)));
} else if (mode === 'churn') {
  for (let life = 0; ; life++) await churn(life);
} else if (mode === 'count') {
  const producer = await bus.producer();
  for (let send = 0; send < Number(number); send++) report(0, (await producer.send(name, 0, numberedSend(send, 'child'))).end);
} else if (mode === 'full') {
  await bus.ensureTopic(name, 1);
  report(0, await untilFull(Number(number)));
}
await bus[Symbol.asyncDispose]();

async function endless(partition: number): Promise<void> {
  const sends = await readFrom(bus, name, partition);
  const producer = await bus.producer();
  for (let send = sends.length; ; send++) report(partition, (await producer.send(name, partition, numberedSend(send))).end);
}

/** One life of the topic: sends, trims, is deleted. */
async function churn(life: number): Promise<void> {
  await bus.ensureTopic(name, 1);
  const producer = await bus.producer();
  for (let send = 0; send < 6; send++) {
    const { end } = await producer.send(name, 0, [{ key: Buffer.alloc(0), value: Buffer.alloc(400_000) }]);
    if (send % 2 === 1) await bus.trim(name, 0, end - 1);
    report(0, life);
  }
  await bus.deleteTopic(name);
  report(0, life);
}

async function untilFull(bytes: number): Promise<number> {
  for (let sent = 0; ; sent++) {
    const producer = await bus.producer();
    try {
      await producer.send(name, 0, [{ key: Buffer.alloc(0), value: Buffer.alloc(bytes) }]);
    } catch (error) {
      if (!isKind(error, 'unavailable')) throw error;
      await producer.send(name, 0, []).then(
        () => Promise.reject(new Error('the producer went on')),
        () => undefined,
      );
      return sent;
    }
  }
}

function report(partition: number, end: number): void {
  writeSync(1, `${partition} ${end}\n`);
}
