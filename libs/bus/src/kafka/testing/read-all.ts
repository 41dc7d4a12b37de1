import type { Bus, Message, Producer } from '@nanosync/core';

/** Everything that one bus partition holds now. */
export async function readAll(bus: Bus, topic: string, partition = 0): Promise<readonly Message[]> {
  const reader = await bus.reader(topic, partition, (await bus.topic(topic))?.partitions[partition]?.start ?? 0);
  const messages: Message[] = [];
  for (;;) {
    const some = await reader.read({ maxBytes: 1_000_000, waitMs: 0 });
    if (some.length === 0) return messages;
    messages.push(...some);
  }
}

/** The texts of messages. */
export function textsOf(messages: readonly Message[]): string[] {
  return messages.map(({ value }) => Buffer.from(value).toString());
}

/** Sends texts as the values of messages. */
export async function sendTexts(producer: Producer, topic: string, partition: number, ...texts: readonly string[]): Promise<number> {
  const messages = texts.map((text) => ({ key: Buffer.from('k'), value: Buffer.from(text) }));
  return (await producer.send(topic, partition, messages)).end;
}
