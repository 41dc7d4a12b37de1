import { VERSIONS } from './link.ts';
import { WireReader, WireWriter } from './wire.ts';

/** One bus partition in a fetch: which life of the topic, and from which offset. */
export interface Want {
  readonly topicId: string;
  readonly partition: number;
  readonly offset: number;
  readonly maxBytes: number;
}

/** What a broker answers for one bus partition: an error code, or whole record batches, the first of which may begin before the offset. */
export interface Fetched {
  readonly topicId: string;
  readonly partition: number;
  readonly error: number;
  readonly start: number;
  readonly end: number;
  readonly records: Buffer;
}

const MAX_ANSWER_BYTES = 16 * 1_048_576;

/** Fetch version 13, which kafkajs does not speak: the first that names topics by id, so that a later life of a topic is never read on. */
export function fetchRequest(wants: readonly Want[], waitMs: number): KafkajsRequest<readonly Fetched[]> {
  return {
    request: {
      apiKey: VERSIONS.fetch.key,
      apiVersion: VERSIONS.fetch.version,
      apiName: 'Fetch',
      encode: async () => encode(wants, waitMs),
    },
    response: { decode: async (data) => decode(data), parse: async (fetched) => fetched },
  };
}

function encode(wants: readonly Want[], waitMs: number): WireWriter {
  const writer = new WireWriter().noTags();
  writer.int32(-1).int32(waitMs).int32(1).int32(MAX_ANSWER_BYTES).int8(0); // Waits for one byte; no transactions are in use.
  writer.int32(0).int32(-1); // No fetch session: every request is complete in itself.
  const topics = Map.groupBy(wants, ({ topicId }) => topicId);
  writer.compactArray([...topics], ([topicId, partitions]) => {
    writer.raw(Buffer.from(topicId, 'hex'));
    writer.compactArray(partitions, ({ partition, offset, maxBytes }) =>
      writer.int32(partition).int32(-1).int64(offset).int32(-1).int64(-1).int32(maxBytes).noTags(),
    );
    writer.noTags();
  });
  return writer
    .compactArray([], () => undefined)
    .compactString('')
    .noTags();
}

function decode(data: Buffer): readonly Fetched[] {
  const reader = new WireReader(data);
  reader.tags();
  reader.int32();
  const error = reader.int16();
  reader.int32();
  const topics = reader.compactArray(() => {
    const topicId = reader.raw(16).toString('hex');
    const partitions = reader.compactArray(() => decodePartition(reader, topicId, error));
    reader.tags();
    return partitions;
  });
  return topics.flat();
}

function decodePartition(reader: WireReader, topicId: string, wholeError: number): Fetched {
  const partition = reader.int32();
  const error = reader.int16() || wholeError;
  const end = reader.int64();
  reader.int64();
  const start = reader.int64();
  reader.compactArray(() => {
    reader.raw(16);
    reader.tags();
  });
  reader.int32();
  const records = reader.compactBytes();
  reader.tags();
  return { topicId, partition, error, start, end, records };
}
