import type { Clock, PipelineDefinition, PipelineRecord, State } from '@nanosync/core';
import { listRecords, newPipeline, PipelineError, readRecord, recordedTables, stateKeys, targetsOf } from '@nanosync/core';
import { sinkPlace } from '@nanosync/runtime';
import { ApiFault } from '../contract/errors.ts';
import type { Change, DefinitionPart, Outcome } from './edits.ts';
import { addedTables, differences, EDITS } from './edits.ts';
import { unfinishedCopies } from './unfinished.ts';

/** How often a plan is made anew because someone else wrote first. */
const ROUNDS = 5;

/** One line of what applying a file does. */
export interface PlannedEdit {
  /** The part of the definition that was edited. */
  readonly part: DefinitionPart;
  readonly effect: string;
  /** Rows that users see go with it. */
  readonly drops: boolean;
}

/** What applying one definition would do. */
export interface PlannedApply {
  readonly definition: PipelineDefinition;
  readonly outcome: 'created' | 'updated' | 'unchanged';
  readonly edits: readonly PlannedEdit[];
  /** Tables that come to a pipeline which exists. */
  readonly added: readonly string[];
  /** The record to be stored, and the version that it replaces: 0 where there is none. */
  readonly next: (nowMs: number) => PipelineRecord;
  readonly version: number;
  /** Nothing exists of it at its source yet: all of it is looked at, whatever was edited. */
  readonly isUntouched: boolean;
}

/** The stored pipelines, by name. */
export async function storedPipelines(state: State): Promise<readonly PipelineRecord[]> {
  return (await listRecords<PipelineRecord>(state, stateKeys.pipelines)).map(({ value }) => value);
}

/**
 * Compares definitions with what is stored; writes nothing. Throws PipelineError `config` that names every edit that an existing
 * pipeline cannot take. `state` is undefined where there is no store yet.
 */
export async function planApply(state: State | undefined, definitions: readonly PipelineDefinition[]): Promise<readonly PlannedApply[]> {
  const plans: PlannedApply[] = [];
  const refusals: string[] = [];
  const existing = state === undefined ? [] : (await storedPipelines(state)).map((record) => record.definition);
  for (const definition of definitions) {
    const stored = state && (await readRecord<PipelineRecord>(state, stateKeys.pipeline(definition.name)));
    if (stored === undefined) {
      refusals.push(...takenTargets(definition, existing));
      plans.push({
        definition,
        outcome: 'created',
        edits: [],
        added: [],
        next: (nowMs) => newPipeline(definition, nowMs),
        version: 0,
        isUntouched: true,
      });
      continue;
    }
    const mayStop = stored.value.definition.replicationType === 'cdc_backfill' && definition.replicationType === 'cdc';
    const change = {
      stored: stored.value,
      wanted: definition,
      ...(mayStop ? { unfinished: await unfinishedCopies(state as State, stored.value) } : {}),
    };
    const { plan, refused } = planEdits(change, stored.version);
    refusals.push(...refused);
    const others = existing.filter(({ name }) => name !== definition.name);
    if (writesElsewhere(stored.value.definition, definition)) refusals.push(...takenTargets(definition, others));
    if (plan.added.length > 0) refusals.push(...takenTargets(withTables(definition, plan.added), others));
    plans.push(plan);
  }
  if (refusals.length > 0) throw new PipelineError('config', refusals.join('\n'));
  return plans;
}

function planEdits(change: Change, version: number): { readonly plan: PlannedApply; readonly refused: readonly string[] } {
  const { stored, wanted } = change;
  const parts = differences(stored.definition, wanted);
  const edits: PlannedEdit[] = [];
  const refused: string[] = [];
  if (stored.intent.deletion !== null) refused.push(`pipeline ${wanted.name} is being deleted: apply it again once it is gone.`);
  let record = withDefinition(stored, wanted);
  for (const part of parts)
    for (const outcome of EDITS[part].outcomes(change) as readonly Outcome[]) {
      if (outcome.kind === 'refused') {
        refused.push(`pipeline ${wanted.name} ${outcome.why}`);
        continue;
      }
      edits.push({ part, effect: outcome.effect, drops: outcome.drops === true });
      record = outcome.becomes?.(record) ?? record;
    }
  const outcome = parts.length === 0 ? 'unchanged' : 'updated';
  return {
    plan: {
      definition: wanted,
      outcome,
      edits,
      added: addedTables(change),
      next: () => record,
      version,
      isUntouched: stored.anchor === null,
    },
    refused,
  };
}

/**
 * Stores what was planned, all together or nothing, each by compare-and-set against the version the plan saw: a pipeline that
 * someone else changed meanwhile is not overwritten. False when that happened; plan again.
 */
export async function storePlan(state: State, plans: readonly PlannedApply[], nowMs: number): Promise<boolean> {
  const entries = plans
    .filter((plan) => plan.outcome !== 'unchanged')
    .map((plan) => ({ key: stateKeys.pipeline(plan.definition.name), value: plan.next(nowMs), expected: plan.version }));
  return entries.length === 0 || (await state.putAll(entries));
}

/**
 * Stores a plan, planning again when someone else wrote meanwhile; returns the plan that was stored. Throws `unconfirmed` for one with
 * which rows go that users see, unless that was confirmed.
 */
export async function storeDefinitions(
  state: State,
  plans: readonly PlannedApply[],
  {
    clock,
    confirmed,
    complete = async (planned) => planned,
  }: {
    readonly clock: Clock;
    readonly confirmed: boolean;
    /** Adds to a plan what the stored records alone do not tell. */
    readonly complete?: (plans: readonly PlannedApply[]) => Promise<readonly PlannedApply[]>;
  },
): Promise<readonly PlannedApply[]> {
  let current = plans;
  for (let round = 0; round < ROUNDS; round++) {
    if (!confirmed) requireHarmless(current);
    if (await storePlan(state, current, clock.nowMs())) return current;
    const again = await planApply(
      state,
      plans.map((plan) => plan.definition),
    );
    current = await complete(again);
  }
  throw new PipelineError('conflict', 'the pipelines are being changed by someone else at the same time.', {
    hint: 'Run the command again.',
  });
}

function requireHarmless(plans: readonly PlannedApply[]): void {
  const drops = plans.flatMap(({ definition, edits }) =>
    edits.filter((edit) => edit.drops).map(({ effect }) => `pipeline ${definition.name}: ${effect}`),
  );
  if (drops.length > 0)
    throw new ApiFault(
      'unconfirmed',
      `Rows that users see would go: ${drops.join('; ')}.`,
      'Confirm it with: nanosync apply --yes, asked of a server that runs (nanosync start, without the file).',
    );
}

/** What must be looked at before this plan is stored: a new pipeline, or the tables that come to one; undefined when there is nothing. */
export function toCheck({ definition, outcome, added, isUntouched }: PlannedApply): PipelineDefinition | undefined {
  if (outcome !== 'unchanged' && (isUntouched || definition.query !== undefined)) return definition;
  return added.length > 0 ? withTables(definition, added) : undefined;
}

function withTables(definition: PipelineDefinition, tables: readonly string[]): PipelineDefinition {
  return { ...definition, source: { ...definition.source, tables } };
}

/** A pipeline that was anchored by a nanosync which did not note its tables has all that it was defined with. */
function withDefinition(stored: PipelineRecord, definition: PipelineDefinition): PipelineRecord {
  return stored.anchor === null ? { ...stored, definition } : { ...stored, definition, recorded: recordedTables(stored) };
}

/** True where its tables are others than before: another sink as long as nothing was written, or another table of a query. */
function writesElsewhere(before: PipelineDefinition, wanted: PipelineDefinition): boolean {
  if (sinkPlace(before.sink.connection) !== sinkPlace(wanted.sink.connection)) return true; // As long as nothing was written.
  return wanted.query !== undefined && before.query?.table !== wanted.query.table;
}

/** Tables that a stored pipeline writes to the same place; the names there may ignore case. */
function takenTargets(definition: PipelineDefinition, existing: readonly PipelineDefinition[]): readonly string[] {
  const place = ({ sink }: PipelineDefinition) => sinkPlace(sink.connection);
  const name = (table: string) => table.toLowerCase(); // Every sink that exists takes names of another case for the same.
  return targetsOf(definition).flatMap((table) => {
    const other = existing.find(
      (stored) => place(stored) === place(definition) && targetsOf(stored).some((one) => name(one) === name(table)),
    );
    if (other === undefined) return [];
    return [
      `pipeline ${definition.name}: ${table} is already written to ${definition.sink.connection.name} by pipeline ${other.name}: leave it out, or give it a sink of its own.`,
    ];
  });
}
