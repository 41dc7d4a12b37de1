import { expect } from 'vitest';
import { openSink } from '../compare/sink-table.ts';
import type { Facts } from './facts.ts';
import type { Scenario } from './scenario.ts';
import { CONCURRENCY } from './scenario.ts';
import { TABLES } from './shop.ts';

/**
 * The end of every scenario: the writers stop, the sink gets everything, the process ends, and every row and column is the
 * same at both ends, nothing in quarantine, no defect, and L0 at the sink is the one that was stored.
 */
export async function expectEqual(scenario: Scenario, tables: readonly string[] = TABLES): Promise<Facts> {
  const facts = await scenario.drain();
  await scenario.stop();
  const compared = await scenario.compare(tables);
  expect(
    compared.map(({ table, missing, extra, different, findings }) => ({ table, missing, extra, different, findings })),
    scenario.tail(),
  ).toEqual(tables.map((table) => ({ table, missing: 0, extra: 0, different: 0, findings: [] })));
  expect(compared.reduce((sum, { sourceRows }) => sum + sourceRows, 0)).toBeGreaterThan(0);
  for (const { sink, captured } of facts.tables) {
    expect({ quarantined: sink?.quarantined, defects: sink?.defects }).toEqual({ quarantined: 0, defects: 0 });
    expect({ quarantined: captured?.quarantined, failure: captured?.failure }).toEqual({ quarantined: 0, failure: null });
    expect(sink?.changesApplied).toBeGreaterThan(0);
  }
  scenario.invariants.repeatedAtMost(facts, CONCURRENCY);
  await expectGenerations(scenario, facts);
  return facts;
}

/** Each table has one generation at the sink, the one of its epoch, with that epoch's L0; nothing is staged any more. */
async function expectGenerations(scenario: Scenario, facts: Facts): Promise<void> {
  const sink = await openSink(scenario.workplace.duckdb);
  try {
    const rows = async (sql: string) => (await sink.connection.runAndReadAll(sql)).getRowObjects();
    const generations = await rows(
      "SELECT tbl, epoch, l0, quarantined::INT AS quarantined, defects::INT AS defects FROM _nanosync.generations WHERE state = 'built' ORDER BY tbl",
    );
    const wanted = facts.tables.map(({ record, captured }) => ({
      ...{ tbl: record.table, epoch: record.epoch, l0: captured?.l0, quarantined: 0, defects: 0 },
    }));
    expect(generations).toEqual(wanted.sort((a, b) => (a.tbl < b.tbl ? -1 : 1)));
    expect(await rows('SELECT * FROM _nanosync.stages')).toEqual([]);
  } finally {
    sink.close();
  }
}
