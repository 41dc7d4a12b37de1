import type { AnswerOf, ApiParts } from '@nanosync/api';
import { ApiFault, storedPipelines } from '@nanosync/api';
import type { PipelineCommand, PipelineRecord, State } from '@nanosync/core';
import { afterCommand, readRecord, stateKeys, targetsOf, updateRecord } from '@nanosync/core';
import { nearest } from '@nanosync/runtime';

/** Stores what a user wants of a pipeline; services act on it. Asking twice is asking once. */
export async function commandHandler({ ctx }: ApiParts, pipeline: string, command: PipelineCommand): Promise<AnswerOf<'pause'>> {
  let changed = false;
  const stored = await updateRecord<PipelineRecord>(ctx.state, stateKeys.pipeline(pipeline), (record) => {
    const next = afterCommand(record, named(record, command));
    changed = next !== undefined;
    return next;
  });
  if (stored === undefined) throw await unknownPipeline(ctx.state, pipeline);
  if (changed) ctx.log.info('command stored', { pipeline, command: command.kind });
  return { pipeline, changed, says: `${changed ? '' : 'already '}${comesOf(named(stored.value, command), stored.value)}` };
}

/** The stored record of a pipeline; throws where there is none. */
export async function requirePipeline(state: State, name: string): Promise<PipelineRecord> {
  const stored = await readRecord<PipelineRecord>(state, stateKeys.pipeline(name));
  if (stored === undefined) throw await unknownPipeline(state, name);
  return stored.value;
}

/** The error about a pipeline name that is not stored. */
export async function unknownPipeline(state: State, name: string): Promise<ApiFault> {
  const known = (await storedPipelines(state)).map((record) => record.definition.name);
  const near = nearest(name, known);
  const cure = near !== undefined ? `Did you mean ${near}?` : known.length === 0 ? 'There is none yet.' : `Known are ${known.join(', ')}.`;
  return new ApiFault('not-found', `there is no pipeline ${JSON.stringify(name)}.`, cure);
}

/** The command with the whole name of its table: the schema may be left out. */
function named({ definition }: PipelineRecord, command: PipelineCommand): PipelineCommand {
  if (command.kind !== 'resnapshot' || command.table === null) return command;
  const { table: written } = command;
  const tables = targetsOf(definition);
  const table = tables.find((one) => one === written) ?? tables.find((one) => one.endsWith(`.${written}`)) ?? written;
  return { ...command, table };
}

/** What comes of a command, as the pipeline stands. */
function comesOf(command: PipelineCommand, record: PipelineRecord): string {
  return record.definition.query === undefined ? comesOfTables(command, record) : comesOfQuery(command, record);
}

function comesOfTables(
  command: PipelineCommand,
  { definition: { name }, phase, failure, intent, request, anchor }: PipelineRecord,
): string {
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
    case 'run':
      return 'asked to run';
    case 'resnapshot': {
      if (request !== null) return 'asked to copy its tables anew, as a whole';
      const what = command.table ?? 'every table';
      return `asked to copy ${what} anew beside the running stream; what users see goes on until the copy takes its place`;
    }
    case 'delete':
      return `asked to delete${command.dropTables ? ' with its tables at the sink' : '; its tables at the sink stay'}${command.force === true ? leftAtSource(anchor) : ''}`;
  }
}

function comesOfQuery(command: PipelineCommand, { intent }: PipelineRecord): string {
  const later = intent.run === 'paused' ? ', once it is resumed' : '';
  switch (command.kind) {
    case 'pause':
      return command.part === 'sink'
        ? 'asked to pause its sink: results wait on the bus'
        : 'asked to pause: nothing is read, and no run begins';
    case 'resume':
      return command.part === 'sink' ? `asked to resume its sink` : 'asked to resume';
    case 'run':
      return `asked to run its query now${later}`;
    case 'resnapshot':
      return `asked to run its query now, with a result that takes the place of all rows${later}`;
    case 'delete':
      return `asked to delete${command.dropTables ? ' with its table at the sink' : '; its table at the sink stays'}`;
  }
}

/** What a source that is left has still, and the statements that drop it. */
function leftAtSource(anchor: PipelineRecord['anchor']): string {
  const { slot, publication } = anchor?.origin ?? {};
  const statements = [
    ...(slot === undefined ? [] : [`SELECT pg_drop_replication_slot('${slot}');`]),
    ...(publication === undefined ? [] : [`DROP PUBLICATION "${publication}";`]),
  ];
  return statements.length === 0 ? '' : `; where its source does not answer, this is left to be run there: ${statements.join(' ')}`;
}
