import { storedPipelines } from '@nanosync/api';
import type { PipelineCommand, PipelineRecord } from '@nanosync/core';
import { afterCommand, stateKeys, updateRecord } from '@nanosync/core';
import type { CliContext } from '../context.ts';
import { EXIT_OK } from '../context.ts';
import { answering, existingPlace } from '../place.ts';
import type { CommonOptions } from './common.ts';
import { unknownPipeline } from './resnapshot.ts';

/** Stores what is asked of a pipeline, for the planner to act on, and says what comes of it. */
export async function ask(context: CliContext, name: string, command: PipelineCommand, options: CommonOptions): Promise<number> {
  await using state = await answering(context.adapters.openState(existingPlace(context, options)));
  let isNew = false;
  const stored = await updateRecord<PipelineRecord>(state, stateKeys.pipeline(name), (record) => {
    const next = afterCommand(record, command);
    isNew = next !== undefined;
    return next;
  });
  if (stored === undefined) throw unknownPipeline(name, await storedPipelines(state));
  context.out(`${name}: ${isNew ? '' : 'already '}${comesOf(command, stored.value)}`);
  return EXIT_OK;
}

/** What comes of a command, as the pipeline stands. */
export function comesOf(command: PipelineCommand, { definition: { name }, phase, failure, intent }: PipelineRecord): string {
  const hasEnded = phase === 'failed' || phase === 'completed';
  const later = phase === 'failed' ? `; it has failed and stays so: ${failure?.cure ?? `Run: nanosync pipeline resnapshot ${name}`}` : '';
  switch (command.kind) {
    case 'pause':
      if (command.part === 'sink') return `asked to pause its sink: changes wait on the bus, and the source may drop its log${later}`;
      return hasEnded
        ? `asked to pause, and is ${phase}${later}`
        : 'asked to pause: nothing is read, and the source keeps its log meanwhile';
    case 'resume': {
      const other = command.part === 'sink' ? intent.run === 'paused' : intent.sink === 'paused';
      const still = `; its ${command.part === 'sink' ? 'reading' : 'sink'} is still paused`;
      return `asked to resume${command.part === 'sink' ? ' its sink' : ''}${other ? still : ''}${later}`;
    }
    case 'resnapshot':
      return 'resnapshot asked for';
    case 'delete':
      return `asked to delete${command.dropTables ? ' with its tables at the sink' : '; its tables at the sink stay'}`;
  }
}
