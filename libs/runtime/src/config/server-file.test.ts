import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createRedactor } from '../redact.ts';
import type { ClusterSettings } from './cluster-settings.ts';
import { resolveCluster } from './cluster-settings.ts';
import { DEFAULT_SERVER_SETTINGS, parseServerSettings } from './server-file.ts';
import { parseDuration, parseSize } from './units.ts';

it('reads what it says and keeps the defaults of what it leaves out', () => {
  const settings = parseServerSettings('keep: 7d\nmemory_limit: 1GiB\nlog_format: json\n', 'server.yaml');
  expect(settings).toEqual({ ...DEFAULT_SERVER_SETTINGS, keepMs: 7 * 86_400_000, memoryLimitBytes: 2 ** 30, logFormat: 'json' });
  expect(Object.isFrozen(settings)).toBe(true);
  expect(DEFAULT_SERVER_SETTINGS.keepMs).toBe(24 * 3_600_000);
});

it('lists everything that is wrong', () => {
  const text = 'keep: 7\nmemory_limt: 1GB\nbus_partitions: 0\ndata_directory: ""\nlog_format: pretty\n';
  expect(() => parseServerSettings(text, 's.yaml')).toThrow(
    [
      's.yaml:1: keep must be text',
      's.yaml:2: memory_limt is not a known key; did you mean memory_limit?',
      's.yaml:3: bus_partitions must be at least 1',
      's.yaml:4: data_directory is empty',
      's.yaml:5: log_format "pretty" is not known; known are human, json',
    ].join('\n'),
  );
  expect(() => parseServerSettings('keep: soon\nmemory_limit: lots', 's.yaml')).toThrow(/write it like 90s[\s\S]*write it like 512MB/);
});

it('knows units', () => {
  expect(['500ms', '90s', '15m', '24h', '1.5 h', '7d'].map(parseDuration)).toEqual([
    500, 90_000, 900_000, 86_400_000, 5_400_000, 604_800_000,
  ]);
  expect(['1kb', '512MB', '1GiB', '2 TB'].map(parseSize)).toEqual([1000, 512_000_000, 2 ** 30, 2e12]);
  for (const bad of ['', '5', 'h', '-1h', '1x', '1 h h']) expect(parseDuration(bad)).toBeUndefined();
});

const CLUSTER = `bus:
  kafka:
    brokers: [k1:9092, "[::1]:9093", "\${env:MORE}"]
    topic_prefix: shop
    replication_factor: 1
    max_message_bytes: 1MB
    tls: { ca: ca.pem }
    sasl: { mechanism: SCRAM-SHA-256, username: sync, password: "\${secret:KAFKA}" }
  registry: { url: "http://r:8081/apis/ccompat/v7", username: u, password: "\${env:REG}" }
state:
  redis: { url: "rediss://:\${env:RPW}@r:6379/2", tls: true, key_prefix: shop }
tasks_bus_partitions: 16
worker: { slots: 3 }
metrics: { listen: "127.0.0.1:9464" }
`;

it('names the place of an address for metrics that is none', () => {
  expect(() => parseServerSettings('metrics: { listen: 9464x }', 'server.yaml')).toThrow(
    /server\.yaml:1: metrics\.listen "9464x" is no address; write it like 127\.0\.0\.1:9464/,
  );
});

describe('the cluster', () => {
  it('is read with its references, which are filled in for connections only', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nanosync-server-'));
    writeFileSync(join(folder, 'ca.pem'), 'PEM');
    const settings = parseServerSettings(CLUSTER, join(folder, 'server.yaml'));
    expect(settings).toMatchObject({ tasksBusPartitions: 16, workerSlots: 3, metricsListen: { host: '127.0.0.1', port: 9464 } });
    const cluster = settings.cluster as ClusterSettings;
    expect(JSON.stringify(cluster)).not.toContain('hunter');
    const redactor = createRedactor();
    const env = { MORE: 'k3:9092, k4:9092', KAFKA: 'hunter1', REG: 'hunter2', RPW: 'hunter/3' };
    expect(await resolveCluster(cluster, { env, redactor })).toEqual({
      kafka: {
        brokers: ['k1:9092', '[::1]:9093', 'k3:9092', 'k4:9092'],
        topicPrefix: 'shop',
        replicationFactor: 1,
        maxMessageBytes: 1_000_000,
        tls: { ca: 'PEM' },
        sasl: { mechanism: 'scram-sha-256', username: 'sync', password: 'hunter1' },
      },
      registry: { url: 'http://r:8081/apis/ccompat/v7', username: 'u', password: 'hunter2', tls: null },
      redis: { url: 'rediss://:hunter%2F3@r:6379/2', username: undefined, password: undefined, tls: {}, keyPrefix: 'shop' },
    });
    expect(redactor.redact('hunter1 hunter2 hunter/3 hunter%2F3')).toBe('*** *** *** ***');
    await expect(resolveCluster(cluster, { env: { MORE: 'k:1' } })).rejects.toThrow('bus.kafka needs ${secret:KAFKA}, which is not set.');
    rmSync(folder, { recursive: true });
    await expect(resolveCluster(cluster, { env })).rejects.toThrow(/^bus.kafka.tls.ca names .*ca.pem, which cannot be read \(ENOENT\)/);
  });

  it('has defaults that keep messages when a broker is lost', () => {
    const text = 'bus: { kafka: { brokers: [k:9092] }, registry: { url: "http://r:8081" } }\nstate: { redis: { url: "redis://r" } }\n';
    expect(parseServerSettings(text, 's.yaml').cluster).toEqual({
      kafka: { brokers: ['k:9092'], topicPrefix: 'nanosync', replicationFactor: 3, maxMessageBytes: undefined, tls: null, sasl: null },
      registry: { url: 'http://r:8081', username: undefined, password: undefined, tls: null },
      redis: { url: 'redis://r', username: undefined, password: undefined, keyPrefix: 'nanosync', tls: null },
    });
  });

  it.each([
    [
      'bus: { kafka: { brokers: [k:1] } }',
      's.yaml:1: bus is half a cluster: bus.registry and state.redis are not set; name bus.kafka, bus.registry and state.redis, or none of them to have all embedded',
    ],
    ['state: { redis: { url: "redis://r" } }', 's.yaml:1: state is half a cluster: bus.kafka and bus.registry are not set;'],
    [
      CLUSTER.replace('password: "${secret:KAFKA}"', 'pasword: x'),
      's.yaml:8: bus.kafka.sasl.pasword is not a known key; did you mean password?',
    ],
    [CLUSTER.replace('ca: ca.pem', 'cs: ca.pem'), 's.yaml:7: bus.kafka.tls.cs is not a known key; did you mean ca?'],
    [
      CLUSTER.replace('SCRAM-SHA-256', 'scram'),
      's.yaml:8: bus.kafka.sasl.mechanism "scram" is not known; known are plain, scram-sha-256, scram-sha-512',
    ],
    [CLUSTER.replace('k1:9092', 'k1'), 's.yaml:3: bus.kafka.brokers[0] "k1" is no address; write host:port'],
    [CLUSTER.replace('"${env:MORE}"', '"${MORE}"'), 's.yaml:3: bus.kafka.brokers[2] has a ${...} that is no reference;'],
    [
      CLUSTER.replace('rediss://', 'http://').replace('${env:RPW}', 'x'),
      's.yaml:11: state.redis.url is no address; write it like redis://host:port or rediss://host:port',
    ],
    [CLUSTER.replace('key_prefix: shop', 'key_prefix: "{x}"'), 's.yaml:11: state.redis.key_prefix cannot be one;'],
    [CLUSTER.replace('topic_prefix: shop', 'topic_prefix: a_b'), 's.yaml:4: bus.kafka.topic_prefix cannot begin topic names;'],
    [CLUSTER.replace('1MB', 'big'), 's.yaml:6: bus.kafka.max_message_bytes "big" is no size;'],
    [`data_directory: ./x\n${CLUSTER}`, 's.yaml:1: data_directory has no use beside bus and state'],
    [CLUSTER.replace('username: u, ', ''), 's.yaml:9: bus.registry.password has no username beside it'],
  ])('is refused where it cannot be meant: %#', (text, sentence) => {
    expect(() => parseServerSettings(text, 's.yaml')).toThrow(sentence);
  });
});
