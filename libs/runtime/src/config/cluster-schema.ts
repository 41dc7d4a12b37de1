import { z } from 'zod';
import { hasReference, referenceProblem } from '../secrets.ts';
import { parseSize } from './units.ts';
import type { ConfigPath, ConfigProblems } from './yaml-file.ts';

const file = z.string().optional();

/** `true` stands for an empty section: TLS with the system's authorities. `false` is as if it were not there. */
const tls = z
  .preprocess(
    (written) => (written === true ? {} : written === false ? undefined : written),
    z.strictObject({ ca: file, cert: file, key: file }).optional(),
  )
  .optional();

const mechanism = z.preprocess(
  (written) => (typeof written === 'string' ? written.toLowerCase() : written),
  z.enum(['plain', 'scram-sha-256', 'scram-sha-512']),
);

/** The section `bus` of a server file. */
export const BUS_SECTION = z.strictObject({
  kafka: z
    .strictObject({
      brokers: z.array(z.string()).min(1, 'is empty; name at least one as host:port'),
      topic_prefix: z.string().optional(),
      replication_factor: z.int().min(1, 'must be at least 1').max(32, 'must be at most 32').optional(),
      max_message_bytes: z.string().optional(),
      tls,
      sasl: z.strictObject({ mechanism, username: z.string(), password: z.string() }).optional(),
    })
    .optional(),
  registry: z
    .strictObject({
      url: z.string(),
      username: z.string().optional(),
      password: z.string().optional(),
      tls: z.strictObject({ ca: z.string() }).optional(),
    })
    .optional(),
});

/** The section `state` of a server file. */
export const STATE_SECTION = z.strictObject({
  redis: z
    .strictObject({
      url: z.string(),
      username: z.string().optional(),
      password: z.string().optional(),
      key_prefix: z.string().optional(),
      tls,
    })
    .optional(),
});

/** Both sections as written. */
export interface ClusterSections {
  readonly bus?: z.output<typeof BUS_SECTION> | undefined;
  readonly state?: z.output<typeof STATE_SECTION> | undefined;
}

const PREFIX = /^[A-Za-z0-9][A-Za-z0-9.-]{0,39}$/;
const KEY_PREFIX = /^[A-Za-z0-9._:-]{1,40}$/;
const BROKER = /^(?:[^\s:[\],]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}$/;

/** Adds what the shape alone cannot say: half a cluster, addresses that are none, references that cannot be filled in. */
export function checkCluster({ bus, state }: ClusterSections, dataDirectory: string | undefined, problems: ConfigProblems): void {
  const parts = { 'bus.kafka': bus?.kafka, 'bus.registry': bus?.registry, 'state.redis': state?.redis };
  const missing = Object.entries(parts).flatMap(([name, part]) => (part === undefined ? [name] : []));
  if (bus === undefined && state === undefined) return;
  if (missing.length > 0)
    problems.add(
      [bus === undefined ? 'state' : 'bus'],
      `is half a cluster: ${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} not set; name bus.kafka, bus.registry and state.redis, or none of them to have all embedded`,
      'key',
    );
  if (dataDirectory !== undefined)
    problems.add(['data_directory'], 'has no use beside bus and state, which keep everything; remove one or the other', 'key');
  checkReferences(bus, ['bus'], problems);
  checkReferences(state, ['state'], problems);
  if (bus?.kafka !== undefined) checkKafka(bus.kafka, problems);
  const { registry } = bus ?? {};
  if (registry !== undefined) checkUrl(registry.url, ['http', 'https'], ['bus', 'registry', 'url'], problems);
  if (registry?.password !== undefined && registry.username === undefined)
    problems.add(['bus', 'registry', 'password'], 'has no username beside it; add one', 'key');
  const { redis } = state ?? {};
  if (redis === undefined) return;
  checkUrl(redis.url, ['redis', 'rediss'], ['state', 'redis', 'url'], problems);
  if (redis.key_prefix !== undefined && !KEY_PREFIX.test(redis.key_prefix))
    problems.add(['state', 'redis', 'key_prefix'], 'cannot be one; use letters, digits, dots, colons, _ and -, at most 40');
}

function checkKafka(kafka: NonNullable<z.output<typeof BUS_SECTION>['kafka']>, problems: ConfigProblems): void {
  const path = ['bus', 'kafka'];
  for (const [index, broker] of kafka.brokers.entries())
    if (!hasReference(broker) && !BROKER.test(broker))
      problems.add([...path, 'brokers', index], `${JSON.stringify(broker)} is no address; write host:port`);
  if (kafka.topic_prefix !== undefined && !PREFIX.test(kafka.topic_prefix))
    problems.add([...path, 'topic_prefix'], 'cannot begin topic names; use letters, digits, dots and -, at most 40');
  if (kafka.max_message_bytes !== undefined && parseSize(kafka.max_message_bytes) === undefined)
    problems.add([...path, 'max_message_bytes'], `${JSON.stringify(kafka.max_message_bytes)} is no size; write it like 1MB or 8MiB`);
}

function checkUrl(url: string, schemes: readonly string[], path: ConfigPath, problems: ConfigProblems): void {
  if (hasReference(url) || referenceProblem(url) !== undefined) return;
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || parsed.hostname === '' || !schemes.includes(parsed.protocol.slice(0, -1)))
    problems.add(path, `is no address; write it like ${schemes.map((scheme) => `${scheme}://host:port`).join(' or ')}`);
}

/** Every text below `value` may have references, and nothing else in `${...}`. */
function checkReferences(value: unknown, path: ConfigPath, problems: ConfigProblems): void {
  if (typeof value === 'string') {
    const bad = referenceProblem(value);
    if (bad !== undefined) problems.add(path, bad);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) checkReferences(inner, [...path, Array.isArray(value) ? Number(key) : key], problems);
  }
}
