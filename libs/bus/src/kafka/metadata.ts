import type { Address } from './link.ts';
import { VERSIONS } from './link.ts';
import { WireReader, WireWriter } from './wire.ts';

/** A topic in a broker's view. */
export interface TopicMetadata {
  readonly name: string;
  /** The protocol's error code; 0 for a topic that exists. */
  readonly error: number;
  /** Kafka's id of this life of the topic: 32 hexadecimal digits. */
  readonly id: string;
  /** The leading broker of each partition; -1 where there is none now. */
  readonly leaders: readonly number[];
}

/** What a broker knows of the cluster. */
export interface ClusterMetadata {
  readonly brokers: ReadonlyMap<number, Address>;
  readonly controller: number;
  readonly topics: readonly TopicMetadata[];
}

/** Metadata version 10, which kafkajs does not speak: the first that tells a topic's id. */
export function metadataRequest(topics: readonly string[]): KafkajsRequest<ClusterMetadata> {
  return {
    request: {
      apiKey: VERSIONS.metadata.key,
      apiVersion: VERSIONS.metadata.version,
      apiName: 'Metadata',
      encode: async () => encode(topics),
    },
    response: { decode: async (data) => decode(data), parse: async (metadata) => metadata },
  };
}

const NO_ID = Buffer.alloc(16);

function encode(topics: readonly string[]): WireWriter {
  const writer = new WireWriter().noTags();
  writer.compactArray(topics, (topic) => writer.raw(NO_ID).compactString(topic).noTags());
  return writer.int8(0).int8(0).int8(0).noTags(); // Create nothing, and no lists of permissions.
}

function decode(data: Buffer): ClusterMetadata {
  const reader = new WireReader(data);
  reader.tags();
  reader.int32();
  const brokers = new Map(
    reader.compactArray(() => {
      const node = reader.int32();
      const address = { host: reader.compactString(), port: reader.int32() };
      reader.compactString();
      reader.tags();
      return [node, address] as const;
    }),
  );
  reader.compactString();
  const controller = reader.int32();
  return { brokers, controller, topics: reader.compactArray(() => decodeTopic(reader)) };
}

function decodeTopic(reader: WireReader): TopicMetadata {
  const error = reader.int16();
  const name = reader.compactString();
  const id = reader.raw(16).toString('hex');
  reader.int8();
  const leaders: number[] = [];
  reader.compactArray(() => {
    reader.int16();
    const index = reader.int32();
    leaders[index] = reader.int32();
    reader.int32();
    for (let list = 0; list < 3; list++) reader.compactArray(() => reader.int32());
    reader.tags();
  });
  reader.int32();
  reader.tags();
  return { name, error, id, leaders };
}
