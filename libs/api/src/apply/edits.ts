import type { PipelineDefinition, PipelineRecord } from '@nanosync/core';
import { afterCommand, connectionText, followsChanges, goesOn, leavingTables, recordedTables, withoutTables } from '@nanosync/core';
import { sinkPlace } from '@nanosync/runtime';
import type { QueryPart } from './query-edits.ts';
import { QUERY_EDITS } from './query-edits.ts';
import { stopOutcomes } from './stop-edit.ts';
import type { UnfinishedCopy } from './unfinished.ts';

/** A stored pipeline and what a file wants of it. */
export interface Change {
  readonly stored: PipelineRecord;
  readonly wanted: PipelineDefinition;
  /** The copies that are under way; looked for where the edit may stop them. */
  readonly unfinished?: readonly UnfinishedCopy[];
}

/** What one edit comes to, in words that follow the pipeline's name. */
export type Outcome =
  | {
      readonly kind: 'effect';
      readonly effect: string;
      /** Rows that users see go with it: it needs `--yes`. */
      readonly drops?: boolean;
      /** What becomes of the record besides its definition. */
      readonly becomes?: (record: PipelineRecord) => PipelineRecord;
    }
  | { readonly kind: 'refused'; readonly why: string };

/** One part of a definition: how it is compared, and what a change of it comes to. */
export interface EditRule {
  readonly value: (definition: PipelineDefinition) => unknown;
  readonly outcomes: (change: Change) => readonly Outcome[];
}

/** The parts of a definition by their name in the file. */
export type DefinitionPart =
  | 'replication_type'
  | 'source.connection'
  | 'source.tables'
  | 'source.columns'
  | 'sink.connection'
  | QueryPart
  | 'snapshot.concurrency'
  | 'snapshot.max_rows_per_second'
  | 'snapshot.target_rows_per_partition';

/** Every edit of a pipeline that exists and its effect: what `apply` prints before it acts, and what docs/cli.md lists. */
export const EDITS: Readonly<Record<DefinitionPart, EditRule>> = {
  replication_type: { value: ({ replicationType }) => replicationType, outcomes: typeOutcomes },
  'source.connection': { value: ({ source }) => connectionText(source.connection), outcomes: sourceOutcomes },
  'source.tables': { value: ({ source }) => source.tables, outcomes: tableOutcomes },
  'source.columns': { value: ({ source }) => source.columns, outcomes: columnOutcomes },
  'sink.connection': { value: ({ sink }) => connectionText(sink.connection), outcomes: sinkOutcomes },
  ...QUERY_EDITS,
  'snapshot.concurrency': {
    value: ({ snapshot }) => snapshot.concurrency,
    outcomes: ({ wanted }) => [effect(`up to ${wanted.snapshot.concurrency} partitions are read at once from now on`)],
  },
  'snapshot.max_rows_per_second': {
    value: ({ snapshot }) => snapshot.maxRowsPerSecond,
    outcomes: ({ wanted: { snapshot } }) => [
      effect(
        `partitions that begin from now on are read ${snapshot.maxRowsPerSecond === null ? 'without limit' : `at ${snapshot.maxRowsPerSecond} rows a second at most`}`,
      ),
    ],
  },
  'snapshot.target_rows_per_partition': {
    value: ({ snapshot }) => snapshot.targetRowsPerPartition,
    outcomes: ({ wanted: { snapshot } }) => [
      effect(`tables that are planned from now on have partitions of about ${snapshot.targetRowsPerPartition} rows`),
    ],
  },
};

/** The parts in which two definitions of a pipeline differ. */
export function differences(a: PipelineDefinition, b: PipelineDefinition): readonly DefinitionPart[] {
  const parts = Object.keys(EDITS) as DefinitionPart[];
  return parts.filter((part) => JSON.stringify(EDITS[part].value(a)) !== JSON.stringify(EDITS[part].value(b)));
}

/** Tables that come to a pipeline which exists. */
export function addedTables({ stored, wanted }: Change): readonly string[] {
  return wanted.source.tables.filter((table) => !stored.definition.source.tables.includes(table));
}

function effect(text: string): Outcome {
  return { kind: 'effect', effect: text };
}

function cannotChange(part: DefinitionPart): Outcome {
  return {
    kind: 'refused',
    why: `exists and its ${part} differs from what is running, which cannot be changed yet: put the old value back, or give the changed pipeline a new name.`,
  };
}

/** The services connect anew. That it is the same database, with the slot, is looked at before it is stored (`reconnect.ts`). */
function sourceOutcomes({ stored, wanted }: Change): readonly Outcome[] {
  if (wanted.query !== undefined || stored.definition.source.connection.type !== wanted.source.connection.type)
    return [cannotChange('source.connection')];
  if (stored.phase === 'created' && stored.anchor === null) return [effect('it connects there from the next attempt on')];
  if (!followsChanges(stored.definition) || !followsChanges(wanted)) return [cannotChange('source.connection')];
  return [effect('the services reconnect to the same database with it, and the pipeline goes on where it was')];
}

/** What is at the old place is all that the pipeline knows to be durable, so another place is another pipeline. */
function sinkOutcomes({ stored, wanted }: Change): readonly Outcome[] {
  if (wanted.query !== undefined) return [cannotChange('sink.connection')];
  const [old, next] = [stored.definition.sink.connection, wanted.sink.connection];
  if (old.type === next.type && sinkPlace(old) === sinkPlace(next))
    return [effect('the sink is opened anew with it, at the same place, and the pipeline goes on where it was')];
  if (stored.phase === 'created' && stored.anchor === null) return [effect('it is written there: nothing was written yet')];
  return [
    {
      kind: 'refused',
      why: 'exists and its sink.connection leads to another place, where nothing of it is: put the old value back, or give the changed pipeline a new name, which copies everything there, and then delete this one.',
    },
  ];
}

/** Where nothing is anchored yet the new type is the first. */
function typeOutcomes(change: Change): readonly Outcome[] {
  const { stored, wanted } = change;
  const to = wanted.replicationType;
  const from = stored.definition.replicationType;
  if (from === 'query' || to === 'query') return [cannotChange('replication_type')];
  if (stored.phase === 'created' || (stored.phase === 'paused' && stored.anchor === null)) return [effect(`begins as ${to}`)];
  if (from === 'snapshot' && to === 'cdc' && stored.phase !== 'completed') return [unfinishedCopy(stored)];
  switch (to) {
    case 'snapshot':
      return [
        becoming(
          'changes are followed no longer, and slot and publication go: all tables are copied once more, as of one moment, and users see the rows of now until that is done',
          (record) => ({ ...record, request: 'resnapshot' }),
        ),
      ];
    case 'cdc_backfill':
      return [
        becoming('all tables are copied anew and then followed: users see the rows of now until that is done', (record) => {
          const { copyStopped: _, ...rest } = record;
          if (from === 'snapshot') return { ...rest, request: 'resnapshot' };
          return afterCommand(rest, { kind: 'resnapshot', table: null }) ?? rest;
        }),
      ];
    case 'cdc':
      return from === 'snapshot' ? [followCopy()] : stopOutcomes(change);
  }
}

/** What is at the sink may be rows of before, which followed changes, or none. */
function unfinishedCopy({ phase }: PipelineRecord): Outcome {
  const why = `is ${phase}, and rows would be missing in the tables that are not copied yet: switch to cdc once it is completed, or to cdc_backfill now.`;
  return { kind: 'refused', why };
}

function followCopy(): Outcome {
  return becoming('changes are followed from now on, and the rows that were copied stay: what changed in between is missing', (record) => ({
    ...record,
    request: 'adopt',
  }));
}

function becoming(text: string, becomes: (record: PipelineRecord) => PipelineRecord): Outcome {
  return { kind: 'effect', effect: text, becomes };
}

/** A table that was not taken in yet goes again without a trace; one that was leaves its rows. */
function tableOutcomes(change: Change): readonly Outcome[] {
  const { stored, wanted } = change;
  const gone = stored.definition.source.tables.filter((table) => !wanted.source.tables.includes(table));
  const recorded = stored.anchor === null && stored.recorded === undefined ? [] : recordedTables(stored);
  if (recorded.length > 0 && recorded.every((table) => gone.includes(table)))
    return [
      {
        kind: 'refused',
        why: `would lose all tables that it follows: leave one of ${recorded.join(', ')} in source.tables, or delete the pipeline and apply the new one.`,
      },
    ];
  const outcomes = [
    ...addedTables(change).map((table) => added(change, table)),
    ...gone.map((table) => (recorded.includes(table) ? takenOut(stored, table) : effect(`table ${table} is not added`))),
  ];
  return outcomes.length > 0 ? outcomes : [effect('its tables are listed in another order')];
}

function added({ stored, wanted }: Change, table: string): Outcome {
  const before = leavingTables(stored).includes(table) ? 'once it is taken out ' : '';
  return effect(`table ${table} is added: ${before}${becomingOf(wanted)}${whenAdded(stored)}`);
}

function takenOut({ definition, phase }: PipelineRecord, table: string): Outcome {
  const later = phase === 'paused' ? ' once the paused pipeline goes on' : '';
  const text = `table ${table} is taken out${later}: ${followsChanges(definition) ? 'it is followed no more, its' : 'its'} rows stay at the sink`;
  return { kind: 'effect', effect: text, becomes: (record) => withoutTables(record, [table]) };
}

/** What is at the sink already was written under the old rules, so only a copy makes the new ones true. */
function columnOutcomes({ stored, wanted }: Change): readonly Outcome[] {
  const rules = ({ source }: PipelineDefinition, table: string) => JSON.stringify(source.columns?.[table]);
  const changed = wanted.source.tables.filter((table) => rules(stored.definition, table) !== rules(wanted, table));
  const copied = stored.anchor === null ? [] : changed.filter((table) => recordedTables(stored).includes(table));
  const outcomes = copied.map(
    (table): Outcome => ({
      kind: 'effect',
      effect: `other columns of ${table} are kept back: the table is copied anew, and shows the old ones until that is done`,
      becomes: (record) => afterCommand(record, { kind: 'resnapshot', table: goesOn(record) ? table : null }) ?? record,
    }),
  );
  return outcomes.length > 0 ? outcomes : [effect('columns are kept back of tables that are not copied yet')];
}

function becomingOf({ replicationType }: PipelineDefinition): string {
  if (replicationType === 'cdc') return 'its changes will be followed, and none of its rows copied';
  return `it will be copied${replicationType === 'cdc_backfill' ? ' and then followed' : ''}`;
}

function whenAdded({ phase, failure }: PipelineRecord): string {
  if (phase === 'paused') return ' once the paused pipeline goes on';
  if (phase !== 'failed') return '';
  return ` once the pipeline goes on, which has failed${failure === null ? '' : `; ${failure.cure}`}`;
}
