import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PipelineRecord, TableId, TableRecord } from '@nanosync/core';
import { endTrouble, PipelineError, positionOf, RECORD_VERSION, stateKeys, tellTrouble } from '@nanosync/core';
import { expect, it, vi } from 'vitest';
import type { TestCli } from './testing/fakes.ts';
import { cliWith } from './testing/fakes.ts';

const KEY = stateKeys.pipeline('orders-pipeline');
const L0 = positionOf(16n, 0n);

async function change(cli: TestCli, changes: Partial<PipelineRecord>): Promise<void> {
  const entry = await cli.state().get(KEY);
  await cli.state().put(KEY, { ...(entry?.value as PipelineRecord), ...changes }, entry?.version ?? 0);
}

async function addTable(cli: TestCli, report: Readonly<Record<string, unknown>>): Promise<void> {
  const table = 'public.orders' as TableId;
  const record: TableRecord = {
    ...{
      v: RECORD_VERSION,
      table,
      phase: 'following',
      anchor: 'a',
      epoch: 'e',
      schema: { table, columns: [], key: [] },
      storage: '',
      l0: L0,
    },
    ...{ l1Requested: true, partitions: 128, voids: 0, estimatedRows: 10, busPartitions: 4, older: null, failure: null },
  };
  await cli.state().put(stateKeys.table('orders-pipeline', table), record, 0);
  const whole = {
    v: RECORD_VERSION,
    epoch: 'e',
    built: true,
    rowsBuilt: 12,
    partitionsDurable: 128,
    watermark: L0,
    changesApplied: 3,
    failure: null,
    ...report,
  };
  await cli.state().put(stateKeys.sinkReport('orders-pipeline', table), whole, 0);
}

it('shows a healthy pipeline and exits with 0', async () => {
  const { cli, args } = cliWith();
  using _ = cli;
  await cli.ask('apply', ...args);
  await change(cli, { phase: 'streaming', anchor: { id: 'a', l0: L0, origin: {} } });
  await addTable(cli, {});
  expect(await cli.ask('status', '--data-dir', cli.dataDir)).toBe(0);
  expect(cli.out).toEqual([
    'orders-pipeline  streaming, live',
    '  lag         - (the source was not asked yet)',
    '  changes     -',
    '  source log  -',
    '  L0, L1      10+0, not reached',
    '  public.orders  live  0 waiting',
    '    12 rows copied (128 of 128 partitions), 3 changes applied; L0 10+0, L1 -, watermark 10+0',
  ]);
});

it('names the tables that came and were not taken in yet', async () => {
  const { cli, args } = cliWith();
  using _ = cli;
  await cli.ask('apply', ...args);
  const { definition } = (await cli.state().get(KEY))?.value as PipelineRecord;
  const source = { ...definition.source, tables: ['public.orders', 'public.items'] };
  const grown = { definition: { ...definition, source }, recorded: ['public.orders'] };
  await change(cli, { phase: 'streaming', anchor: { id: 'a', l0: L0, origin: {} }, ...grown });
  await addTable(cli, {});
  expect(await cli.ask('status', '--data-dir', cli.dataDir)).toBe(0);
  expect(cli.out.slice(0, 2)).toEqual(['orders-pipeline  streaming', '  to be added: public.items']);
  await change(cli, { recorded: ['public.orders', 'public.items'] });
  await cli.ask('status', '--data-dir', cli.dataDir);
  expect(cli.out[0]).toBe('orders-pipeline  streaming, live');
});

it('names what needs a person, with the cure, and exits with 1', async () => {
  const { cli, args } = cliWith();
  using _ = cli;
  await cli.ask('apply', ...args);
  await change(cli, { phase: 'failed', failure: { reason: 'the slot is gone.', cure: 'nanosync pipeline resnapshot orders-pipeline' } });
  await addTable(cli, { quarantined: 2, defects: 1 });
  expect(await cli.ask('status', '--data-dir', cli.dataDir)).toBe(1);
  expect(cli.out.slice(0, 4)).toEqual([
    'orders-pipeline  failed, NEEDS ATTENTION: failed, 2 rows in quarantine, 1 defect counted',
    '  the slot is gone.',
    '    cure: nanosync pipeline resnapshot orders-pipeline',
    expect.stringMatching(/^ {2}rows in quarantine are not at the sink: .* then run: nanosync pipeline resnapshot orders-pipeline$/),
  ]);
  expect(cli.out.at(-2)).toContain('QUARANTINED 2, DEFECTS 1');
});

it('shows why a service tries again, and is not green for what does not pass by itself', async () => {
  const { cli, args } = cliWith();
  using _ = cli;
  await cli.ask('apply', ...args);
  const status = () => cli.ask('status', '--data-dir', cli.dataDir);
  const away = new PipelineError('unavailable', 'w.duckdb is open in another process.', { hint: 'End it.' });
  await tellTrouble(cli.state(), 'orders-pipeline', 'sink-writer', away);
  expect(await status()).toBe(0);
  expect(cli.out).toContain('  sink-writer tries again: w.duckdb is open in another process. End it.');
  await tellTrouble(cli.state(), 'orders-pipeline', 'sink-writer', new PipelineError('prerequisite', 'the folder is gone.'));
  expect(await status()).toBe(1);
  expect(cli.out).toContain('orders-pipeline  created, NEEDS ATTENTION: sink-writer cannot go on');
  expect(cli.out).toContain('  sink-writer tries again: the folder is gone.');
  await endTrouble(cli.state(), 'orders-pipeline', 'sink-writer');
  expect(await status()).toBe(0);
  expect(cli.out.join()).not.toContain('tries again');
});

it('prints one JSON object, of one pipeline when it is named', async () => {
  const { cli, args } = cliWith();
  using _ = cli;
  await cli.ask('apply', ...args);
  expect(await cli.ask('status', 'orders-pipeline', '--json', '--data-dir', cli.dataDir)).toBe(0);
  expect(cli.out).toHaveLength(1);
  expect(JSON.parse(cli.out[0] as string)).toMatchObject({
    serving: true,
    pipelines: [{ name: 'orders-pipeline', phase: 'created', healthy: true }],
  });
  expect(await cli.ask('status', 'nobody', '--data-dir', cli.dataDir)).toBe(2);
});

it('looks again and again with --watch, until it is told to end', async () => {
  const { cli, args } = cliWith();
  using _ = cli;
  await cli.ask('apply', ...args);
  await using api = await cli.serve({ dataDir: cli.dataDir });
  expect(api.url).toMatch(/^http:/);
  const watching = cli.run('status', '--watch', '--json', '--data-dir', cli.dataDir);
  await vi.waitFor(() => expect(cli.out.length).toBeGreaterThan(1), { timeout: 10_000 });
  cli.stop.abort();
  expect(await watching).toBe(0);
  expect(cli.out.map((line) => (JSON.parse(line) as { pipelines: { name: string }[] }).pipelines[0]?.name)).toContain('orders-pipeline');
});

it('says in one sentence that no server runs, and makes no directory', async () => {
  const { cli, args } = cliWith();
  using _ = cli;
  const cure = 'Start one with: nanosync start -f pipelines.yaml, or name another with --data-dir, --config or --api.';
  for (const command of [['status'], ['tap', 'p'], ['pipeline', 'pause', 'p'], ['apply', ...args]]) {
    expect(await cli.run(...command, '--data-dir', cli.dataDir)).toBe(2);
    expect(cli.err).toEqual([`No server runs on ${cli.dataDir}. ${cure}`]);
  }
  expect(existsSync(cli.dataDir)).toBe(false);
  expect(await cli.ask('apply', ...args)).toBe(0);
  writeFileSync(join(cli.dataDir, 'api.json'), JSON.stringify({ url: 'http://127.0.0.1:1', token: 't', pid: 77 }));
  expect(await cli.run('status', '--data-dir', cli.dataDir)).toBe(2);
  expect(cli.err).toEqual([`No server runs on ${cli.dataDir}; the last one, process 77, is gone. ${cure}`]);
  expect(await cli.run('status', '--api', 'http://127.0.0.1:1')).toBe(2);
  expect(cli.err).toEqual(['No server answers at http://127.0.0.1:1 (ECONNREFUSED). Start the server, or correct the address.']);
});
