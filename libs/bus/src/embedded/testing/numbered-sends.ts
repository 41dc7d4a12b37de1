import type { Bus, OutMessage } from '@nanosync/core';

/** The messages of the send with this number: their count and sizes follow from it, and each says where it belongs. */
export function numberedSend(send: number, writer = 'only'): readonly OutMessage[] {
  const count = 1 + (send % 7);
  return Array.from({ length: count }, (_, at) => {
    const padding = send % 10 === 0 && at === 0 ? 300_000 : (send * 31 + at) % 900;
    return { key: Buffer.from(`${writer} ${send} ${at} ${count}`), value: Buffer.alloc(padding, send % 251) };
  });
}

/**
 * Reads a bus partition from its start and checks it: every send in one piece, each writer's in order from 0 without a gap, the
 * bytes as sent. Returns the writers of the sends, in order.
 */
export async function readFrom(bus: Bus, topic: string, partition: number): Promise<readonly string[]> {
  const reader = await bus.reader(topic, partition, 0);
  const next = new Map<string, number>();
  const writers: string[] = [];
  let expected: readonly OutMessage[] = [];
  for (let offset = 0; ; ) {
    const messages = await reader.read({ maxBytes: 500_000, waitMs: 0 });
    if (messages.length === 0) break;
    for (const message of messages) {
      if (expected.length === 0) {
        const writer = Buffer.from(message.key).toString().split(' ')[0] ?? '';
        const send = next.get(writer) ?? 0;
        expected = numberedSend(send, writer);
        next.set(writer, send + 1);
        writers.push(writer);
      }
      const [first, ...rest] = expected as [OutMessage, ...OutMessage[]];
      expected = rest;
      const same =
        message.offset === offset++ && Buffer.compare(first.key, message.key) === 0 && Buffer.compare(first.value, message.value) === 0;
      if (!same) throw new Error(`at ${message.offset}: not ${Buffer.from(first.key)} but ${Buffer.from(message.key)}`);
    }
  }
  if (expected.length > 0) throw new Error(`the last send is torn: ${expected.length} messages are missing`);
  return writers;
}
