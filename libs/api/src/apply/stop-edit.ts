import type { PipelineRecord } from '@nanosync/core';
import { tablesToAdd, withCopyStopped } from '@nanosync/core';
import type { Change, Outcome } from './edits.ts';
import type { UnfinishedCopy } from './unfinished.ts';

/** What becomes of a pipeline that copies and follows once it copies no more: what is read to its end stays, and of the rest it is said what will be missing. */
export function stopOutcomes({ stored, wanted, unfinished = [] }: Change): readonly Outcome[] {
  const { phase, request, failure, definition } = stored;
  if (phase === 'failed' || phase === 'completed' || request !== null) {
    const cure = phase === 'failed' && failure !== null ? ` ${failure.cure}` : '';
    const how = request === null ? `is ${phase}` : 'is about to begin anew';
    return [{ kind: 'refused', why: `${how}, and rows would be missing: switch to cdc once it goes on.${cure}` }];
  }
  const toAdd = tablesToAdd(stored)
    .filter((table) => wanted.source.tables.includes(table))
    .map((table) => said(`table ${table}, which is still to be added: its changes will be followed, and none of its rows copied`));
  if (unfinished.length === 0 && (phase === 'streaming' || stored.pausedIn === 'streaming'))
    return [said('nothing changes: the rows are copied and changes are followed; tables that are added later are not copied'), ...toAdd];
  const later = phase === 'paused' ? ', once the paused pipeline goes on' : '';
  return [
    {
      kind: 'effect',
      effect: `copying stops${later}: tables that are read to their end stay as they are; the others go on with the rows that are read, and all changes from their L0 on`,
      becomes: withCopyStopped,
    },
    ...unfinished.map((copy) => (copy.isBeside ? said(besideText(copy)) : stopped(definition.name, copy, stored))),
    ...toAdd,
  ];
}

function said(effect: string): Outcome {
  return { kind: 'effect', effect };
}

function besideText({ table }: UnfinishedCopy): string {
  return `table ${table} is being copied anew, which goes on: users see its rows of now until that is done, and none is missing`;
}

function stopped(name: string, { table, read, partitions, replaces }: UnfinishedCopy, { intent }: PipelineRecord): Outcome {
  const far =
    partitions === 0 ? 'nothing of it is read yet: its rows' : `${read} of ${partitions} partitions are read: the rows of the others`;
  const cure = intent.copyAnew.includes(table)
    ? 'the copy that was asked for is made'
    : `it is copied by: nanosync pipeline resnapshot ${name} --table ${table}`;
  const seen = replaces ? '; what users see under its name goes with that' : '';
  return {
    kind: 'effect',
    effect: `table ${table}: ${far} will be missing at the sink, but for those that change, until ${cure}${seen}`,
    drops: replaces,
  };
}
