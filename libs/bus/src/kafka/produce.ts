import { VERSIONS } from './link.ts';
import { WireReader, WireWriter } from './wire.ts';

/** One record batch for one bus partition. */
export interface Parcel {
  readonly topic: string;
  readonly partition: number;
  readonly bytes: Buffer;
}

/** What became of a parcel: an error code, or the offset of its first message. */
export interface Produced {
  readonly topic: string;
  readonly partition: number;
  readonly error: number;
  readonly base: number;
}

const ALL_REPLICAS = -1;

/** Produce version 7, with acknowledgement of all replicas; an error of one bus partition is not one of the others. */
export function produceRequest(parcels: readonly Parcel[], timeoutMs: number): KafkajsRequest<readonly Produced[]> {
  return {
    request: {
      apiKey: VERSIONS.produce.key,
      apiVersion: VERSIONS.produce.version,
      apiName: 'Produce',
      encode: async () => encode(parcels, timeoutMs),
    },
    response: { decode: async (data) => decode(data), parse: async (produced) => produced },
    requestTimeout: timeoutMs,
  };
}

function encode(parcels: readonly Parcel[], timeoutMs: number): WireWriter {
  const writer = new WireWriter(parcels.reduce((size, { topic, bytes }) => size + bytes.length + topic.length * 3 + 32, 64));
  writer.string(null).int16(ALL_REPLICAS).int32(timeoutMs);
  return writer.array([...Map.groupBy(parcels, ({ topic }) => topic)], ([topic, partitions]) =>
    writer.string(topic).array(partitions, ({ partition, bytes }) => writer.int32(partition).int32(bytes.length).raw(bytes)),
  );
}

function decode(data: Buffer): readonly Produced[] {
  const reader = new WireReader(data);
  const topics = reader.array(() => {
    const topic = reader.string();
    return reader.array(() => {
      const produced = { topic, partition: reader.int32(), error: reader.int16(), base: reader.int64() };
      reader.int64();
      reader.int64();
      return produced;
    });
  });
  return topics.flat();
}
