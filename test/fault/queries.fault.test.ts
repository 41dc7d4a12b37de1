import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nanosync } from './command.ts';
import { QueryScenario, WHOLE } from './query-scenario.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

const GROUPS = 'SELECT count(*)::INT, sum(accounts)::INT, sum(total)::INT FROM reporting.groups';

/** Whatever moment the process died in, what is seen is one whole result of one moment of the source. */
async function expectWhole(scenario: QueryScenario): Promise<void> {
  expect(await scenario.sink(GROUPS)).toEqual([[WHOLE.groups, WHOLE.accounts, WHOLE.total]]);
  const [doubled] = await scenario.sink('SELECT count(*)::INT - count(DISTINCT id)::INT FROM reporting.recent');
  expect(doubled).toEqual([0]);
}

/** The process has ended: both tables are what their queries say, and accounts that were touched once stay. */
async function expectRight(scenario: QueryScenario): Promise<void> {
  const groups = await scenario.admin.query(
    'SELECT id % 40 AS grp, count(*) AS accounts, sum(balance) AS total FROM accounts GROUP BY 1 ORDER BY 1',
  );
  const seen = await scenario.sink('SELECT grp, accounts::VARCHAR, total::VARCHAR FROM reporting.groups ORDER BY grp');
  expect(seen).toEqual(groups.rows.map(({ grp, accounts, total }) => [Number(grp), String(accounts), String(total)]));
  const recent = await scenario.admin.query('SELECT id, balance, touched FROM accounts WHERE touched > 0 ORDER BY id');
  const kept = await scenario.sink('SELECT id, balance, touched FROM reporting.recent ORDER BY id');
  expect(kept).toEqual(recent.rows.map(({ id, balance, touched }) => [Number(id), Number(balance), Number(touched)]));
}

test('killed anywhere in a run while money moves: no half result is ever seen, and the last one is right', async () => {
  await using scenario = await QueryScenario.open(server);
  scenario.write();
  scenario.start();
  await scenario.fresh();
  await scenario.process.kill();
  await expectWhole(scenario);
  const places = ['query-run-stored', 'task-emitted:2', 'partition-taken', 'batch-published:3', 'end-marker-published:2'];
  for (const failpoint of [
    ...places,
    'partition-read-stored',
    'rows-staged:3',
    'query-result-written',
    'query-result-written:2',
    'query-run-ended:2',
  ]) {
    scenario.start(failpoint);
    expect(await scenario.process.ended, failpoint).toMatch(/SIGKILL/);
    await expectWhole(scenario);
  }
  scenario.start();
  await scenario.fresh();
  await scenario.stopWriting();
  await scenario.fresh();
  await scenario.process.kill();
  await expectWhole(scenario);
  await expectRight(scenario);
  await expectGatheredAgain(scenario);
}, 300_000);

/** What a query with a key has gathered outlives it: deleted and applied again it goes on with rows that no result has any more. */
async function expectGatheredAgain(scenario: QueryScenario): Promise<void> {
  const gathered = 'SELECT count(*)::INT, sum(touched)::VARCHAR FROM reporting.recent';
  const before = await scenario.sink(gathered);
  scenario.start();
  await scenario.fresh();
  expect(nanosync(scenario, 'pipeline', 'delete', 'recent', '--yes')).toMatchObject({ status: 0 });
  await scenario.waitFor('its end', async () => (await scenario.runs('recent')) === undefined);
  await scenario.admin.query('UPDATE accounts SET touched = 0');
  await scenario.process.kill();
  scenario.start();
  await scenario.fresh();
  await scenario.process.kill();
  expect(await scenario.sink(gathered)).toEqual(before);
}
