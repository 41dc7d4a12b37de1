import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadPipelines, loadServerSettings } from '@nanosync/runtime';
import { clusterStack, findJava, installKafka, runTool } from '@nanosync/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ComposeFile, readComposeFile } from './compose-file.ts';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const FILE = join(ROOT, 'docker-compose.yml');
const OURS = ['planner', 'snapshot-worker', 'cdc-capture', 'sink-writer'];
const folder = mkdtempSync(join(tmpdir(), 'nanosync-compose-'));
let compose: ComposeFile;

beforeAll(async () => {
  compose = await readComposeFile(FILE);
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true }));

test('the parser of Docker Compose finds mistakes', async () => {
  const broken = join(folder, 'broken.yml');
  writeFileSync(broken, readFileSync(FILE, 'utf8').replace('depends_on:', 'depend_on:'));
  await expect(readComposeFile(broken)).rejects.toThrow(/depend_on/);
});

test('the services are ours and what they stand on, and the source comes only with its profile', async () => {
  expect(Object.keys(compose.services).sort()).toEqual([...OURS, 'kafka', 'postgres', 'redis', 'registry'].sort());
  const withProfile = Object.entries(compose.services).filter(([, { profiles }]) => profiles !== undefined);
  expect(withProfile.map(([name, { profiles }]) => [name, profiles])).toEqual([['postgres', ['demo']]]);
});

test('every service says whether it is well, comes back, and can be there more than once', () => {
  for (const [name, service] of Object.entries(compose.services)) {
    expect([name, service.healthcheck?.test.length, service.healthcheck?.disable]).toEqual([name, expect.any(Number), undefined]);
    expect([name, service.restart]).toEqual([name, 'unless-stopped']);
    // A name or a port of the host can be had by one container only.
    expect([name, service.container_name, service.ports]).toEqual([name, undefined, undefined]);
    // Nobody gets another version than was tried.
    expect([name, service.image]).toEqual([name, expect.stringMatching(/:.*\d+\.\d+|:17-/)]);
  }
});

test('what a service depends on must be well before it begins', () => {
  const conditions = (name: string) =>
    Object.entries(compose.services[name]?.depends_on ?? {}).map(([on, { condition }]) => `${on} ${condition}`);
  for (const name of OURS)
    expect(conditions(name).sort()).toEqual(['kafka service_healthy', 'redis service_healthy', 'registry service_healthy']);
  expect(conditions('registry')).toEqual(['kafka service_healthy']);
});

test('each of our services runs a service that nanosync has, with a server file that is there', () => {
  const help = spawnSync(process.execPath, [join(ROOT, 'services/cli/bin/nanosync.js'), 'service', '--help'], { encoding: 'utf8' }).stdout;
  for (const name of OURS) {
    expect(help).toContain(`"${name}"`);
    const service = compose.services[name];
    expect(service?.command).toEqual(['service', name, '--config', '/etc/nanosync/server.yaml']);
    const mounted = service?.volumes?.find(({ target }) => target === '/etc/nanosync/server.yaml');
    expect(mounted?.source).toBe(join(ROOT, 'deploy/server.yaml'));
    for (const volume of service?.volumes ?? []) expect(existsSync(volume.source)).toBe(true);
  }
});

test('the server file names services of the compose file, and the pipelines file is a right one', () => {
  const cluster = loadServerSettings(join(ROOT, 'deploy/server.yaml')).cluster;
  const places = [`tcp://${cluster?.kafka.brokers[0]}`, cluster?.registry.url, cluster?.redis.url].map((each) => new URL(String(each)));
  expect(places.map(({ hostname, port }) => `${hostname}:${port}`)).toEqual(['kafka:9092', 'registry:8080', 'redis:6379']);
  expect(cluster?.kafka.replicationFactor).toBe(1);
  const [pipeline, ...more] = loadPipelines(join(ROOT, 'deploy/pipelines.yaml'));
  expect([pipeline?.source.connection.type, pipeline?.sink.connection.type, more]).toEqual(['postgres', 'bigquery', []]);
});

test('Redis acknowledges nothing that is not on disk', () => {
  const text = compose.services.redis?.command?.join(' ');
  for (const setting of ['--appendonly yes', '--appendfsync always', '--maxmemory-policy noeviction']) expect(text).toContain(setting);
});

test('data is in volumes with names', () => {
  const kept = Object.entries(compose.services).flatMap(([name, { volumes = [] }]) =>
    volumes.filter(({ type }) => type === 'volume').map(({ source, target }) => `${name} ${source} ${target}`),
  );
  expect(kept.sort()).toEqual(['kafka kafka /var/lib/kafka/data', 'postgres postgres /var/lib/postgresql/data', 'redis redis /data']);
  expect(Object.keys(compose.volumes).sort()).toEqual(['kafka', 'postgres', 'redis']);
});

describe('what the containers would run, run here', () => {
  test("Kafka's own set-up takes the environment and formats a data folder", async () => {
    const environment = { ...compose.services.kafka?.environment, KAFKA_LOG_DIRS: join(folder, 'data') };
    const configs = ['default', 'mounted', 'final'].map((name) => join(folder, name)) as [string, string, string];
    for (const each of configs) mkdirSync(each);
    // The image's own are like these: what the environment says counts.
    for (const name of ['server.properties', 'log4j2.yaml', 'tools-log4j2.yaml'])
      writeFileSync(join(configs[0], name), name.endsWith('yaml') ? 'Configuration:\n  Loggers:\n    Root: { level: INFO }\n' : '');
    const args = ['-cp', join(await installKafka(), '*'), 'kafka.docker.KafkaDockerWrapper', 'setup'];
    const folders = ['--default-configs-dir', configs[0], '--mounted-configs-dir', configs[1], '--final-configs-dir', configs[2]];
    const env = Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, String(value)]));
    const said = await runTool(await findJava(), { args: [...args, ...folders], env, cure: 'install Java.' });
    expect(said).toContain('Formatting metadata directory');
    expect(readFileSync(join(configs[2], 'server.properties'), 'utf8')).toContain('advertised.listeners=PLAINTEXT://kafka:9092\n');
  });

  test("the registry's health check tells a registry that answers from one that does not", async () => {
    const { registry } = await clusterStack('registry');
    const { test: check = [] } = compose.services.registry?.healthcheck ?? {};
    const exit = (port: string) => {
      // The parser leaves variables of the shell as compose hands them to the container: $$ is $.
      const [command = '', ...args] = check.slice(1).map((each) => each.replaceAll('$$', '$').replace('/8080', `/${port}`));
      return spawnSync(command, args).status;
    };
    expect(exit(new URL(registry.url).port)).toBe(0);
    expect(exit('1')).not.toBe(0);
  });
});
