import { test } from 'vitest';
import { sharedServer } from './fixture.ts';
import { expectEqual } from './outcome.ts';
import { askForResnapshot } from './repair.ts';
import { restart } from './restart.ts';
import { Scenario } from './scenario.ts';

// Each place the first time is in `failpoints-first.fault.test.ts`, in the middle and twice in a row in `failpoint-pairs.long.test.ts`.
const server = sharedServer();

test('killed in the middle, and in the middle of the next life', async () => {
  await using scenario = await Scenario.open(server());
  scenario.write(100);
  scenario.start('partition-taken:7');
  await scenario.killedItself();
  scenario.start('changes-published:12');
  await scenario.killedItself();
  await restart(scenario, 100);
  await scenario.live();
  await expectEqual(scenario);
});

test('killed at each place of an anchor in a resnapshot', async () => {
  await using scenario = await Scenario.open(server());
  scenario.write(107);
  // Reached once a life of the slot: the second time is in a resnapshot.
  scenario.start('slot-created:2');
  await scenario.live();
  await scenario.sql('DROP PUBLICATION nanosync_pub_shop'); // A pipeline that goes on would copy under the anchor that it has.
  await scenario.failed();
  await askForResnapshot(scenario);
  await scenario.killedItself();
  scenario.start('anchor-stored');
  await scenario.killedItself();
  await restart(scenario, 107);
  await scenario.live();
  await expectEqual(scenario);
});
