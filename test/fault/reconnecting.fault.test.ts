import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { nanosync } from './command.ts';
import { sharedServer } from './fixture.ts';
import { expectEqual } from './outcome.ts';
import { Scenario } from './scenario.ts';

const server = sharedServer();

/** Applies the pipelines file with another connection to the source. */
function applyWith(scenario: Scenario, change: (dsn: string) => string): ReturnType<typeof nanosync> {
  const { pipelinesFile } = scenario.workplace;
  const before = readFileSync(pipelinesFile, 'utf8');
  const after = before.replace(/postgres:\/\/[^\s"']+/, change);
  expect(after).not.toBe(before);
  writeFileSync(pipelinesFile, after);
  const applied = nanosync(scenario, 'apply', '-f', pipelinesFile);
  writeFileSync(pipelinesFile, before);
  return applied;
}

/** The number of the session that captures now. */
function lastSession({ process }: Scenario): number {
  const begun = process.tail(100).flatMap((line) => /capture session begins .*session=(\d+)/.exec(line)?.[1] ?? []);
  return Number(begun.at(-1));
}

test('a live pipeline goes on by another connection to the same database, and takes none to another', async () => {
  await using scenario = await Scenario.open(server());
  scenario.start();
  await scenario.live();
  const session = lastSession(scenario);
  scenario.write(1);
  const elsewhere = applyWith(scenario, (dsn) => dsn.replace(/\/[^/?]+(\?|$)/, '/postgres$1'));
  expect(elsewhere).toMatchObject({ status: 2, output: expect.stringContaining('pipeline shop, source') });
  const same = applyWith(scenario, (dsn) => `${dsn}${dsn.includes('?') ? '&' : '?'}connect_timeout=30`);
  expect(same).toMatchObject({ status: 0, output: expect.stringContaining('the services reconnect to the same database with it') });
  await scenario.says(new RegExp(`capture session begins .*session=${session + 1}\\b`));
  await scenario.live();
  await expectEqual(scenario);
});
