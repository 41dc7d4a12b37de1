import type { PartitionRuns } from '@nanosync/core';
import { hasPartition } from '@nanosync/core';
import { expect, test } from 'vitest';
import { openSink } from '../compare/sink-table.ts';
import { nanosync } from './command.ts';
import type { Facts } from './facts.ts';
import { sharedServer } from './fixture.ts';
import { PIPELINE, Scenario } from './scenario.ts';
import { storeCommand } from './stored.ts';

const server = sharedServer();
const TABLES = ['public.orders', 'public.docs', 'public.lines'];

const missingIn = (facts: Facts, table: string) => facts.tables.find(({ record }) => record.table === table)?.record.missing;

/** Rows of the source that the sink lacks, and where they lie. */
async function lacking(scenario: Scenario, table: string, key: string): Promise<readonly number[]> {
  const sink = await openSink(scenario.workplace.duckdb);
  try {
    const there = (await sink.connection.runAndReadAll(`SELECT ${key} AS key FROM ${table}`)).getRowObjects();
    const known = new Set(there.map((row) => String(row.key)));
    const rows = await scenario.sql<{ key: string; page: number }>(
      `SELECT ${key} AS key, (ctid::text::point)[0]::int AS page FROM ${table}`,
    );
    return rows.filter((row) => !known.has(row.key)).map(({ page }) => page);
  } finally {
    sink.close();
  }
}

/** The pages of the partitions that are not missing, as their ranges say. */
function isRead(facts: Facts, table: string, missing: PartitionRuns, page: number): boolean {
  const ranges = facts.tables.find(({ record }) => record.table === table)?.partitions ?? [];
  return ranges.some(({ partition, range }) => {
    const [from = '', to = ''] = range.split(':');
    return !hasPartition(missing, partition) && Number(from) <= page && (to === '' || page < Number(to));
  });
}

test('a copy that is stopped half way, through kills, lacks what was not read and nothing else, until it is copied anew', async () => {
  await using scenario = await Scenario.open(server(), TABLES);
  scenario.write(7);
  scenario.start('partition-read-stored:4');
  await scenario.killedItself();
  scenario.define(TABLES, 'cdc');
  for (const failpoint of ['copy-stopped:1', 'generation-built:1']) {
    scenario.start(failpoint);
    await scenario.killedItself();
  }
  scenario.start();
  await scenario.live();
  // Changed once more: rows that were not copied, whole, with the large body that is not in the log.
  await scenario.sql('UPDATE docs SET n = n + 1 WHERE id % 3 = 0');
  await scenario.sql('UPDATE orders SET id = id + 1000000 WHERE id % 500 = 0');
  const facts = await scenario.drain();
  const told = nanosync(scenario, 'status').output;
  await scenario.stop();
  const compared = await scenario.compare(TABLES);
  const lacks: string[] = [];
  for (const { table, missing, extra, different, findings } of compared) {
    const runs = missingIn(facts, table);
    expect({ table, extra, different, findings: extra + different > 0 ? findings : [] }).toEqual({
      table,
      extra: 0,
      different: 0,
      findings: [],
    });
    if (runs === undefined) expect({ table, missing }).toEqual({ table, missing: 0 });
    else {
      lacks.push(table);
      const key = table === 'public.lines' ? "code || '/' || line" : 'id::text';
      const pages = await lacking(scenario, table, key);
      expect(pages).toHaveLength(missing);
      expect(pages.filter((page) => isRead(facts, table, runs, page))).toEqual([]);
      expect(told).toContain(`${table}: ${runs.length === 0 ? 'no row of it was copied' : 'rows that were not copied: '}`);
      expect(told).toContain(`run: nanosync pipeline resnapshot ${PIPELINE} --table ${table}`);
    }
  }
  expect(lacks).not.toEqual([]);
  await makeWhole(scenario);
});

/** What a resnapshot makes of it. */
async function makeWhole(scenario: Scenario): Promise<void> {
  await scenario.closeState();
  await storeCommand(scenario.workplace.dataDir, PIPELINE, { kind: 'resnapshot', table: null });
  scenario.start(undefined, 'stored');
  await scenario.until(
    'whole',
    ({ pipeline, tables }) =>
      pipeline.intent.copyAnew.length === 0 &&
      tables.every(({ record }) => record.older === null && record.phase === 'following' && record.missing === undefined),
  );
  await scenario.drain();
  await scenario.stop();
  const differing = (await scenario.compare(TABLES)).filter(({ missing, extra, different }) => missing + extra + different > 0);
  expect(differing).toEqual([]);
}
