import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { PipelineDefinition, PipelineRecord } from '@nanosync/core';
import { PipelineError, RECORD_VERSION, stateKeys } from '@nanosync/core';
import { loadPipelines } from '@nanosync/runtime';
import { describe, expect, it } from 'vitest';
import type { FakeOptions } from './testing/fakes.ts';
import { cliWith, idleService, PIPELINES, TestCli } from './testing/fakes.ts';

/** The definition in the file, as parsed. */
async function definitionOf(cli: TestCli): Promise<PipelineDefinition> {
  const [definition] = loadPipelines(join(cli.root, 'pipelines.yaml'));
  return definition as PipelineDefinition;
}

/** The pipeline as its planner would leave it. */
async function anchor(cli: TestCli, change: Partial<PipelineRecord> = {}): Promise<void> {
  const key = stateKeys.pipeline('orders-pipeline');
  const before = await cli.state().get(key);
  const anchored = { phase: 'streaming', anchor: { id: 'a', l0: '', origin: {} } };
  await cli.state().put(key, { ...(before?.value as PipelineRecord), ...anchored, ...change }, before?.version ?? 0);
}

async function stored(cli: TestCli): Promise<PipelineRecord> {
  return (await cli.state().get(stateKeys.pipeline('orders-pipeline')))?.value as PipelineRecord;
}

describe('the command line', () => {
  it('has a version, and an example in every help', async () => {
    using cli = new TestCli();
    expect(await cli.run('--version')).toBe(0);
    expect(cli.out).toEqual(['9.9.9']);
    for (const command of [
      [],
      ['validate'],
      ['start'],
      ['apply'],
      ['status'],
      ['tap'],
      ['schema'],
      ['schema', '--server'],
      ['pipeline'],
      ['pipeline', 'resnapshot'],
      ['pipeline', 'pause'],
      ['pipeline', 'resume'],
      ['pipeline', 'delete'],
      ['completion'],
      ['openapi'],
      ['service'],
      ['health'],
    ]) {
      expect(await cli.run(...command, '--help')).toBe(0);
      expect(cli.out.join('\n')).toMatch(/Example:\n {2}\$ nanosync /);
    }
  });

  it.each([
    ['stat'],
    ['start', '--dat-dir', 'x'],
    ['validate'],
    ['pipeline', 'resnapshot'],
    ['start', '--log-format', 'xml'],
    [],
  ])('refuses wrong words: %s %s', async (...args) => {
    using cli = new TestCli();
    expect(await cli.run(...args.filter((arg) => arg !== undefined))).toBe(2);
    expect(cli.err.join('\n')).not.toBe('');
  });

  it('says what is wrong with a file, without a stack trace unless asked', async () => {
    using cli = new TestCli();
    const file = cli.file('p.yaml', PIPELINES.replace('sink: {connection', 'sink: {connexion'));
    expect(await cli.run('validate', '-f', file)).toBe(2);
    expect(cli.err).toEqual([`${file}:11: pipelines[0].sink.connexion is not a known key; did you mean connection?`]);
    expect(await cli.run('validate', '-f', file, '--debug')).toBe(2);
    expect(cli.err.join('\n')).toContain('at parsePipelines');
    expect(await cli.run('validate', '-f', `${file}.gone`)).toBe(2);
    expect(cli.err).toEqual([`${file}.gone does not exist. Check the path.`]);
    expect(await cli.run('validate', '-f', `${file}.gone`, '--json')).toBe(2);
    const error = { code: 'config', message: `${file}.gone does not exist.`, cure: 'Check the path.' };
    expect(cli.err.map((line) => JSON.parse(line))).toEqual([{ error }]);
  });
});

describe('validate', () => {
  it('reads the file alone, and with --connect both ends too', async () => {
    const { cli, file } = cliWith({ sourceProblems: [{ what: 'wal_level is replica', cure: 'ALTER SYSTEM SET wal_level = logical' }] });
    using _ = cli;
    expect(await cli.run('validate', '-f', file)).toBe(0);
    expect(cli.out).toEqual(['orders-pipeline: prod (public.orders) -> warehouse: ok']);
    expect(cli.opened).toEqual([]);
    expect(await cli.run('validate', '-f', file, '--json')).toBe(0);
    const found = { name: 'orders-pipeline', source: 'prod', tables: ['public.orders'], sink: 'warehouse', query_into: null };
    expect(cli.out.map((line) => JSON.parse(line))).toEqual([{ valid: true, pipelines: [found] }]);
    expect(await cli.run('validate', '-f', file, '--connect')).toBe(2);
    expect(cli.err).toEqual(['pipeline orders-pipeline, source prod: wal_level is replica. ALTER SYSTEM SET wal_level = logical']);
    expect(readdirSync(cli.root)).toEqual(['pipelines.yaml']);
  });
});

describe('preflight', () => {
  it.each<[string, FakeOptions, string]>([
    ['a problem at the source', { sourceProblems: [{ what: 'no right', cure: 'GRANT it' }] }, 'source prod: no right. GRANT it'],
    ['a problem at the sink', { sinkProblems: [{ what: 'taken', cure: 'Rename it.' }] }, 'sink warehouse: taken. Rename it.'],
    [
      'a source that is away',
      { sourceProblems: new PipelineError('unavailable', 'db does not answer.', { hint: 'Start it.' }) },
      'source prod: db does not answer. Start it.',
    ],
    [
      'a secret that is not set',
      { env: {} },
      'source prod: connection prod needs ${env:PW}, which is not set. Set the environment variable PW.',
    ],
  ])('%s refuses start and apply, and nothing is created', async (_name, options, sentence) => {
    const { cli, args } = cliWith({ services: [idleService('planner')], ...options });
    using _ = cli;
    expect(await cli.run('start', ...args)).toBe(2);
    expect(cli.err).toEqual([`pipeline orders-pipeline, ${sentence}`]);
    expect(readdirSync(cli.root)).toEqual(['pipelines.yaml']);
    expect(await cli.ask('apply', ...args)).toBe(2);
    expect(cli.out).toEqual(['orders-pipeline: created']); // What would be done is said before.
    expect(cli.err).toEqual([`pipeline orders-pipeline, ${sentence}`]);
    expect(await cli.state().list('')).toEqual([]);
  });

  it('refuses a data directory that cannot be one', async () => {
    const { cli, file } = cliWith();
    using _ = cli;
    for (const command of ['start']) {
      expect(await cli.run(command, '-f', file, '--data-dir', join(file, 'below'))).toBe(2);
      expect(cli.err[0]).toContain('below cannot be used as data directory (ENOTDIR). Name a folder');
    }
  });

  it('never shows a password that a driver put into its error', async () => {
    const { cli, args } = cliWith({ sourceProblems: new PipelineError('config', 'cannot use postgres://app:other@db or hunter2.') });
    using _ = cli;
    expect(await cli.ask('apply', ...args)).toBe(2);
    expect(cli.err[0]).toContain('cannot use postgres://app:***@db or ***.');
  });

  it('takes an unexpected error for a fault of its own', async () => {
    const { cli, args } = cliWith({ sourceProblems: new TypeError('x is not a function') });
    using _ = cli;
    expect(await cli.ask('apply', ...args)).toBe(1);
    expect(cli.err).toEqual(['The server met an error that it did not foresee. Its log says which.']);
    expect(cli.serverLog.join()).toContain('x is not a function');
  });
});

describe('apply', () => {
  it('stores a new pipeline with its references, once', async () => {
    const { cli, args } = cliWith();
    using _ = cli;
    expect(await cli.ask('apply', ...args)).toBe(0);
    expect(cli.out).toEqual(['orders-pipeline: created']);
    expect(cli.opened.map((connection) => connection.dsn)).toEqual(['postgres://app:hunter2@db/shop', null]);
    const record = await stored(cli);
    expect(record).toMatchObject({ v: RECORD_VERSION, phase: 'created', anchor: null, failure: null, request: null });
    expect(JSON.stringify(record)).not.toContain('hunter2');
    expect(record.definition.source.connection.dsn).toBe('postgres://app:${env:PW}@db/shop');
    expect(await cli.ask('apply', ...args)).toBe(0);
    expect(cli.out).toEqual(['orders-pipeline: unchanged']);
    expect(cli.opened).toHaveLength(2);
  });

  it('says what it would do, and does nothing, with --dry-run; --json is the plan', async () => {
    const { cli, args } = cliWith();
    using _ = cli;
    expect(await cli.ask('apply', ...args, '--dry-run')).toBe(0);
    expect([cli.out, cli.opened.length]).toEqual([['orders-pipeline: would be created'], 2]);
    expect(await cli.state().list('')).toEqual([]);
    expect(await cli.ask('apply', ...args, '--dry-run', '--json')).toBe(0);
    const pipelines = [{ name: 'orders-pipeline', outcome: 'created', edits: [] }];
    expect(cli.out.map((line) => JSON.parse(line) as unknown)).toEqual([{ applied: false, pipelines }]);
    expect(await cli.ask('apply', ...args, '--json')).toBe(0);
    expect(cli.out.map((line) => JSON.parse(line) as unknown)).toEqual([{ applied: true, pipelines }]);
  });

  it('changes what may change and says what that does, and nothing else', async () => {
    const { cli, args } = cliWith();
    using _ = cli;
    await cli.ask('apply', ...args);
    cli.file('pipelines.yaml', PIPELINES.replace('concurrency: 4', 'concurrency: 9'));
    expect(await cli.ask('apply', ...args)).toBe(0);
    expect(cli.out).toEqual(['orders-pipeline: updated', 'orders-pipeline: up to 9 partitions are read at once from now on']);
    expect((await stored(cli)).definition.snapshot.concurrency).toBe(9);
    // Nothing is taken in yet: all of its tables may be others.
    cli.file('pipelines.yaml', PIPELINES.replace('public.orders', 'public.items'));
    expect(await cli.ask('apply', ...args)).toBe(0);
    expect(cli.out).toContain('orders-pipeline: table public.orders is not added');
    await anchor(cli, { recorded: ['public.items'] });
    cli.file('pipelines.yaml', PIPELINES.replace('w.duckdb', 'v.duckdb'));
    expect(await cli.ask('apply', ...args)).toBe(2);
    expect(cli.err[0]).toContain('would lose all tables that it follows: leave one of public.items in source.tables');
    expect((await stored(cli)).definition.source.tables).toEqual(['public.items']);
  });

  it('adds a table to a pipeline once the table can be copied, and takes one out', async () => {
    const options: FakeOptions = {};
    const { cli, args } = cliWith(options);
    using _ = cli;
    await cli.ask('apply', ...args);
    await anchor(cli);
    cli.file('pipelines.yaml', PIPELINES.replace('public.orders', 'public.orders, public.items'));
    Object.assign(options, { sourceProblems: [{ what: 'Table public.items has no key.', cure: 'ALTER TABLE it' }] });
    expect(await cli.ask('apply', ...args)).toBe(2);
    expect(cli.err).toEqual(['pipeline orders-pipeline, source prod: Table public.items has no key. ALTER TABLE it']);
    expect((await stored(cli)).definition.source.tables).toEqual(['public.orders']);
    Object.assign(options, { sourceProblems: [] });
    expect(await cli.ask('apply', ...args)).toBe(0);
    expect(cli.out).toEqual([
      'orders-pipeline: updated',
      'orders-pipeline: table public.items is added: it will be copied and then followed',
    ]);
    expect(await stored(cli)).toMatchObject({
      definition: { source: { tables: ['public.orders', 'public.items'] } },
      recorded: ['public.orders'],
      phase: 'streaming',
    });
    expect(await cli.ask('apply', ...args)).toBe(0);
    expect(cli.out).toEqual(['orders-pipeline: unchanged']);
    // Until it was taken in it goes without a trace; from then on it leaves its rows.
    cli.file('pipelines.yaml', PIPELINES);
    expect(await cli.ask('apply', ...args)).toBe(0);
    expect(cli.out).toEqual(['orders-pipeline: updated', 'orders-pipeline: table public.items is not added']);
    cli.file('pipelines.yaml', PIPELINES.replace('public.orders', 'public.orders, public.items'));
    await cli.ask('apply', ...args);
    await anchor(cli, { recorded: ['public.orders', 'public.items'] });
    cli.file('pipelines.yaml', PIPELINES);
    expect(await cli.ask('apply', ...args)).toBe(0);
    expect(cli.out).toEqual([
      'orders-pipeline: updated',
      'orders-pipeline: table public.items is taken out: it is followed no more, its rows stay at the sink',
    ]);
    expect(await stored(cli)).toMatchObject({ recorded: ['public.orders'], leaving: ['public.items'] });
    expect(await cli.ask('apply', ...args)).toBe(0);
    expect(cli.out).toEqual(['orders-pipeline: unchanged']);
    cli.file('pipelines.yaml', PIPELINES.replace('public.orders', 'public.orders, public.items'));
    expect(await cli.ask('apply', ...args)).toBe(0);
    expect(cli.out[1]).toBe('orders-pipeline: table public.items is added: once it is taken out it will be copied and then followed');
    expect(await stored(cli)).toMatchObject({ recorded: ['public.orders'], leaving: ['public.items'] });
    cli.file('pipelines.yaml', PIPELINES.replace('public.orders', 'public.other'));
    expect(await cli.ask('apply', ...args)).toBe(2);
    expect(cli.err[0]).toContain(
      'would lose all tables that it follows: leave one of public.orders in source.tables, or delete the pipeline',
    );
  });

  it('says when an added table of a failed pipeline is copied', async () => {
    const { cli, args } = cliWith();
    using _ = cli;
    await cli.ask('apply', ...args);
    await anchor(cli, { phase: 'failed', failure: { reason: 'It is gone.', cure: 'Run: nanosync pipeline resnapshot orders-pipeline' } });
    cli.file('pipelines.yaml', PIPELINES.replace('public.orders', 'public.orders, public.items'));
    expect(await cli.ask('apply', ...args)).toBe(0);
    expect(cli.out[1]).toBe(
      'orders-pipeline: table public.items is added: it will be copied and then followed once the pipeline goes on, which has failed; Run: nanosync pipeline resnapshot orders-pipeline',
    );
  });

  it('refuses an added table that another pipeline writes to the same place', async () => {
    const { cli, args } = cliWith();
    using _ = cli;
    await cli.ask('apply', ...args);
    const definition = await definitionOf(cli);
    const other = { ...definition, name: 'other', source: { ...definition.source, tables: ['public.items'] } };
    await cli.state().put(stateKeys.pipeline('other'), { v: 1, definition: other }, 0);
    cli.file('pipelines.yaml', PIPELINES.replace('public.orders', 'public.orders, public.items'));
    expect(await cli.ask('apply', ...args)).toBe(2);
    expect(cli.err[0]).toContain('public.items is already written to warehouse by pipeline other');
  });

  it('refuses a table that another pipeline writes to the same place, by whatever spelling', async () => {
    const { cli, args } = cliWith();
    using _ = cli;
    await cli.ask('apply', ...args);
    cli.file('pipelines.yaml', PIPELINES.replace('orders-pipeline', 'other').replace('public.orders', 'public.Orders'));
    expect(await cli.ask('apply', ...args)).toBe(2);
    expect(cli.err).toEqual([
      'pipeline other: public.Orders is already written to warehouse by pipeline orders-pipeline: leave it out, or give it a sink of its own.',
    ]);
  });

  it('plans again when the planner wrote meanwhile, and keeps what it wrote', async () => {
    let beat = false;
    const { cli, args } = cliWith({
      onState: (state) => {
        if (!beat) return;
        beat = false;
        state.beforePut = async () => {
          const entry = await state.get(stateKeys.pipeline('orders-pipeline'));
          await state.put(entry!.key, { ...(entry!.value as PipelineRecord), phase: 'streaming' }, entry!.version);
        };
      },
    });
    using _ = cli;
    await cli.ask('apply', ...args);
    cli.file('pipelines.yaml', PIPELINES.replace('concurrency: 4', 'concurrency: 9'));
    beat = true;
    expect(await cli.ask('apply', ...args)).toBe(0);
    expect(await stored(cli)).toMatchObject({ phase: 'streaming', definition: { snapshot: { concurrency: 9 } } });
  });

  it('refuses what a newer nanosync stored', async () => {
    const { cli, args } = cliWith();
    using _ = cli;
    await cli.state().put(stateKeys.pipeline('orders-pipeline'), { v: 99 }, 0);
    for (const command of [
      ['apply', ...args],
      ['start', ...args],
      ['status', '--data-dir', cli.dataDir],
    ]) {
      expect(await (command[0] === 'start' ? cli.run(...command) : cli.ask(...command))).toBe(2);
      expect(cli.err[0]).toContain(`has version 99; this nanosync knows up to ${RECORD_VERSION}. Run the nanosync that wrote it`);
    }
  });
});

describe('pipeline resnapshot', () => {
  it('sets the request once, and knows its pipelines', async () => {
    const { cli, args } = cliWith();
    using _ = cli;
    await cli.ask('apply', ...args);
    const again = ['--data-dir', cli.dataDir];
    expect(await cli.ask('pipeline', 'resnapshot', 'orders-pipeline', ...again)).toBe(0);
    expect((await stored(cli)).request).toBe('resnapshot');
    expect(await cli.ask('pipeline', 'resnapshot', 'orders-pipeline', ...again)).toBe(0);
    expect(cli.out[0]).toContain('already asked to copy its tables anew');
    expect(await cli.ask('pipeline', 'resnapshot', 'order-pipeline', ...again)).toBe(2);
    expect(cli.err).toEqual(['there is no pipeline "order-pipeline". Did you mean orders-pipeline?']);
  });
});
