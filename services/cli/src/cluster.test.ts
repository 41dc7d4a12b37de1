import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PipelineRecord } from '@nanosync/core';
import { leaseNames, PipelineError, RECORD_VERSION, stateKeys } from '@nanosync/core';
import { describe, expect, it } from 'vitest';
import { unhealthy } from './health.ts';
import type { FakeOptions } from './testing/fakes.ts';
import { cliWith, idleService } from './testing/fakes.ts';

const SERVER = `bus:
  kafka: { brokers: [k:9092], topic_prefix: shop }
  registry: { url: "http://r:8081" }
state:
  redis: { url: "redis://r", password: "\${env:RPW}" }
api: { listen: "127.0.0.1:0" }
`;

/** A command line with a server file of a cluster. */
function clusterWith(options: FakeOptions = {}) {
  const { cli, file } = cliWith(Object.assign(options, { env: { PW: 'hunter2', RPW: 'hunter3' } }));
  return { cli, file, config: cli.file('server.yaml', SERVER) };
}

const away = (what: string) => new PipelineError('unavailable', `${what} does not answer.`, { hint: 'Start it.' });

describe('a cluster', () => {
  it('runs one service as a process, with the engines of the server file', async () => {
    let topic = '';
    const services = ['planner', 'snapshot-worker'].map((name) =>
      idleService(name, (ctx) => {
        topic += `${name} ${ctx.topics.tasks}`;
        ctx.log.info('it was hunter3');
        cli.stop.abort();
      }),
    );
    const { cli, config } = clusterWith({ services });
    using _ = cli;
    expect(await cli.run('service', 'snapshot-worker', '--config', config)).toBe(0);
    expect(topic).toBe('snapshot-worker shop.tasks');
    expect(cli.workerSlots).toBe(4);
    expect(cli.out).toEqual([
      'nanosync snapshot-worker serving — Ctrl-C to stop',
      'INF no pipelines yet next="nanosync apply -f pipelines.yaml"',
      'INF it was ***',
      'INF nanosync stopped',
    ]);
    expect(cli.places).toMatchObject([{ kind: 'cluster', cluster: { redis: { password: 'hunter3', keyPrefix: 'nanosync' } } }]);
    expect(existsSync(cli.dataDir)).toBe(false);
  });

  it('runs all in one process, and is asked and told by the same file', async () => {
    const services = [idleService('planner', () => cli.stop.abort()), idleService('sink-writer')];
    const { cli, file, config } = clusterWith({ services });
    using _ = cli;
    expect(await cli.run('start', '-f', file, '--config', config)).toBe(0);
    expect(cli.workerSlots).toBe(64);
    expect(await cli.ask('apply', '-f', file, '--config', config)).toBe(0);
    expect(cli.out).toEqual(['orders-pipeline: unchanged']);
    expect(await cli.ask('status', '--json', '--config', config)).toBe(0);
    const pipelines = [{ name: 'orders-pipeline', phase: 'created' }];
    expect(JSON.parse(cli.out[0] ?? '')).toMatchObject({ serving: false, absent: { 'orders-pipeline': ['planner'] }, pipelines });
    cli.clusterState().leases.add(leaseNames.planner('orders-pipeline'));
    expect(await cli.ask('status', '--json', '--config', config)).toBe(0);
    expect(JSON.parse(cli.out[0] ?? '')).toMatchObject({ serving: true, absent: {}, pipelines });
    expect(await cli.ask('pipeline', 'resnapshot', 'orders-pipeline', '--config', config)).toBe(0);
    const stored = (await cli.clusterState().get(stateKeys.pipeline('orders-pipeline')))?.value as PipelineRecord;
    expect(stored).toMatchObject({ v: RECORD_VERSION, request: 'resnapshot' });
    expect(existsSync(cli.dataDir)).toBe(false);
  });

  it('shows which service nobody runs for a pipeline', async () => {
    const { cli, file, config } = clusterWith();
    using _ = cli;
    await cli.ask('apply', '-f', file, '--config', config);
    const state = cli.clusterState();
    const key = stateKeys.pipeline('orders-pipeline');
    const entry = await state.get(key);
    await state.put(key, { ...(entry?.value as PipelineRecord), phase: 'streaming' }, entry?.version ?? 0);
    for (const lease of [leaseNames.planner('orders-pipeline'), leaseNames.rows('orders-pipeline')]) state.leases.add(lease);
    expect(await cli.ask('status', '--config', config)).toBe(0);
    expect(cli.out.slice(0, 3)).toEqual([
      'orders-pipeline  streaming, live',
      '  no cdc-capture works on it: start nanosync service cdc-capture',
    ]);
  });

  it('says in one sentence which engine does not answer, and runs nothing', async () => {
    const services = [idleService('planner', () => expect.unreachable())];
    const options: FakeOptions = { services, engines: { state: away('Redis at r:6379') } };
    const { cli, file, config } = clusterWith(options);
    using _ = cli;
    const commands = [['service', 'planner'], ['start', '-f', file], ['health']];
    for (const command of commands) {
      expect([command[0], await cli.run(...command, '--config', config)]).toEqual([command[0], 2]);
      expect(cli.err).toEqual(['Redis at r:6379 does not answer. Start it.']);
    }
    Object.assign(options, { engines: { bus: away('Kafka at k:9092') } });
    for (const command of [['service', 'planner'], ['start'], ['health']]) {
      expect(await cli.run(...command, '--config', config)).toBe(2);
      expect(cli.err).toEqual(['Kafka at k:9092 does not answer. Start it.']);
    }
    Object.assign(options, { engines: {} });
    expect(await cli.run('health', '--config', config)).toBe(0);
    expect(cli.out).toEqual(['state store, bus and schema registry answer']);
    expect(await cli.run('health', '--config', config, '--json')).toBe(0);
    expect(cli.out.map((line) => JSON.parse(line))).toEqual([{ services: null, engines: true, trouble: null }]);
  });

  it('refuses what cannot be meant', async () => {
    const { cli, config } = clusterWith();
    using _ = cli;
    const embedded = cli.file('embedded.yaml', 'keep: 1h\n');
    expect(await cli.run('service', 'planner', '--config', embedded)).toBe(2);
    expect(cli.err[0]).toMatch(/embedded.yaml names no bus and no state store .* nanosync start$/);
    expect(await cli.run('service', 'plannr', '--config', config)).toBe(2);
    expect(cli.err[0]).toMatch(/plannr.*planner, snapshot-worker, cdc-capture, sink-writer/);
    expect(await cli.run('service', 'planner')).toBe(2);
    expect(await cli.ask('status', '--config', config, '--data-dir', cli.dataDir)).toBe(2);
    expect(cli.err[0]).toContain('--data-dir has no use beside');
    expect(await cli.run('health', '--config', embedded)).toBe(2);
    expect(await cli.run('health')).toBe(2);
  });
});

describe('the health of a process', () => {
  it('is written while its services run, and gone with them', async () => {
    const said: (string | undefined)[] = [];
    const path = () => join(cli.root, 'health');
    const flaky = {
      name: 'planner',
      run: async () => {
        if (said.length > 0) return idleService('planner', () => cli.stop.abort()).run({ signal: cli.stop.signal } as never);
        said.push(unhealthy(path(), Date.now()));
        throw new PipelineError('unavailable', 'the sky fell.');
      },
    };
    const { cli, config } = clusterWith({ services: [flaky] });
    using _ = cli;
    expect(await cli.run('service', 'planner', '--config', config, '--health-file', path())).toBe(0);
    expect(said).toEqual([undefined]);
    expect(existsSync(path())).toBe(false);
    expect(await cli.run('health', '--health-file', path())).toBe(1);
    expect(cli.err[0]).toMatch(/^no nanosync writes/);
  });

  it('is bad when the process has gone silent or a service waits to be started again', async () => {
    const { cli } = clusterWith();
    using _ = cli;
    const path = join(cli.root, 'health');
    const write = (file: object) => writeFileSync(path, JSON.stringify(file));
    write({ pid: 7, atMs: Date.now() - 29_000, services: { planner: null } });
    expect(await cli.run('health', '--health-file', path)).toBe(0);
    expect(cli.out).toEqual(['the services of this process run']);
    write({ pid: 7, atMs: Date.now() - 31_000, services: { planner: null } });
    expect(await cli.run('health', '--health-file', path)).toBe(1);
    expect(cli.err[0]).toMatch(/^process 7 has said nothing for 31 s\.$/);
    write({ pid: 7, atMs: Date.now(), services: { planner: null, 'cdc-capture': 'it broke.' } });
    expect(await cli.run('health', '--health-file', path)).toBe(1);
    expect(cli.err).toEqual(['cdc-capture does not run: it broke.']);
  });

  it('is refused where it cannot be written', async () => {
    const { cli, config } = clusterWith({ services: [idleService('planner')] });
    using _ = cli;
    expect(await cli.run('service', 'planner', '--config', config, '--health-file', join(cli.root, 'no', 'x'))).toBe(2);
    expect(cli.err[0]).toMatch(/cannot be written \(ENOENT\)/);
    expect(readFileSync(config, 'utf8')).toBe(SERVER);
  });
});
