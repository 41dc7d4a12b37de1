import { removeStack } from '@nanosync/testkit';
import type { StackCommand } from './options.ts';
import { hasEnded, identify, isAlive, signalProcess } from './running-process.ts';
import { say, shortPath } from './say.ts';
import { readRecord, removeRecord } from './stack-record.ts';

/** Longer than the keeper gives its services. */
const PATIENCE_MS = 30_000;

/** Stops what `up` started and nothing else; resolves to the exit status. */
export async function down({ directory, clean }: StackCommand): Promise<number> {
  const record = readRecord(directory);
  if (record === undefined) say('No stack is up.');
  else if (!isAlive(record.keeper)) {
    const stranger = identify(record.keeper.pid) !== undefined;
    say(
      `The stack has ended before${stranger ? `; its process id ${record.keeper.pid} is another process's now, which was left alone` : ''}.`,
    );
    removeRecord(directory);
  } else {
    signalProcess(record.keeper, 'SIGTERM');
    if (!(await hasEnded(record.keeper, PATIENCE_MS))) {
      signalProcess(record.keeper, 'SIGKILL'); // Its services end with it.
      await hasEnded(record.keeper, PATIENCE_MS);
      removeRecord(directory);
    }
    say('Down.');
  }
  if (clean) {
    removeStack(directory);
    say(`${shortPath(directory)} is removed.`);
  }
  return 0;
}
