import type { PipelineDefinition, PipelineRecord, State } from '@nanosync/core';
import { listRecords, newPipeline, PipelineError, readRecord, recordedTables, stateKeys } from '@nanosync/core';
import { sinkPlace } from '@nanosync/runtime';

/** What applying one definition would do. */
export interface PlannedApply {
  readonly definition: PipelineDefinition;
  readonly outcome: 'created' | 'updated' | 'unchanged';
  /** Tables that come to a pipeline which exists. */
  readonly added: readonly string[];
  /** The stored record and its version; null where there is none. */
  readonly stored: { readonly record: PipelineRecord; readonly version: number } | null;
}

/** The stored pipelines, by name. */
export async function storedPipelines(state: State): Promise<readonly PipelineRecord[]> {
  return (await listRecords<PipelineRecord>(state, stateKeys.pipelines)).map(({ value }) => value);
}

/**
 * Compares definitions with what is stored; writes nothing. Throws PipelineError `config` that names every part in which an
 * existing pipeline differs and must not, because the rows already at the sink were made by the old definition. `state` is undefined
 * where there is no store yet.
 */
export async function planApply(state: State | undefined, definitions: readonly PipelineDefinition[]): Promise<readonly PlannedApply[]> {
  const plans: PlannedApply[] = [];
  const refusals: string[] = [];
  const existing = state === undefined ? [] : (await storedPipelines(state)).map((record) => record.definition);
  for (const definition of definitions) {
    const stored = state && (await readRecord<PipelineRecord>(state, stateKeys.pipeline(definition.name)));
    if (stored === undefined) {
      refusals.push(...takenTargets(definition, existing));
      plans.push({ definition, outcome: 'created', added: [], stored: null });
      continue;
    }
    const differing = differences(stored.value.definition, definition);
    const fixed = differing.filter(
      (part) => part !== 'snapshot.concurrency' && !(part === 'source.tables' && keeps(definition, stored.value)),
    );
    const unequal = fixed.filter((part) => part !== 'source.tables');
    if (unequal.length > 0) refusals.push(refusal(definition.name, unequal));
    if (fixed.includes('source.tables')) refusals.push(missing(definition, stored.value));
    const added = definition.source.tables.filter((table) => !stored.value.definition.source.tables.includes(table));
    const others = existing.filter(({ name }) => name !== definition.name);
    if (added.length > 0) refusals.push(...takenTargets(withTables(definition, added), others));
    plans.push({
      definition,
      outcome: differing.length === 0 ? 'unchanged' : 'updated',
      added,
      stored: { record: stored.value, version: stored.version },
    });
  }
  if (refusals.length > 0) throw new PipelineError('config', refusals.join('\n'));
  return plans;
}

/**
 * Stores what was planned, all together or nothing, each by compare-and-set against the version the plan saw: a pipeline that
 * someone else changed meanwhile is not overwritten. False when that happened; plan again.
 */
export async function storePlan(state: State, plans: readonly PlannedApply[], nowMs: number): Promise<boolean> {
  const entries = plans
    .filter((plan) => plan.outcome !== 'unchanged')
    .map((plan) => ({
      key: stateKeys.pipeline(plan.definition.name),
      value: plan.stored === null ? newPipeline(plan.definition, nowMs) : changedRecord(plan.stored.record, plan.definition),
      expected: plan.stored?.version ?? 0,
    }));
  return entries.length === 0 || (await state.putAll(entries));
}

/** What must be looked at before this plan is stored: a new pipeline, or the tables that come to one; undefined when there is nothing. */
export function toCheck({ definition, outcome, added }: PlannedApply): PipelineDefinition | undefined {
  if (outcome === 'created') return definition;
  return added.length > 0 ? withTables(definition, added) : undefined;
}

/** What becomes of the tables that come to a pipeline which exists. */
export function becomingOfAdded({ stored }: PlannedApply): string {
  const cure = stored?.record.failure?.cure;
  const when =
    stored?.record.phase === 'failed'
      ? ` once the pipeline goes on, which has failed${cure === undefined ? '' : `; ${cure}`}`
      : stored?.record.phase === 'paused'
        ? ' once the paused pipeline goes on'
        : '';
  return `it will be copied and then followed${when}`;
}

function withTables(definition: PipelineDefinition, tables: readonly string[]): PipelineDefinition {
  return { ...definition, source: { ...definition.source, tables } };
}

/** True when every table that was taken in stays. One that was not yet may go again. */
function keeps(definition: PipelineDefinition, stored: PipelineRecord): boolean {
  return recordedTables(stored).every((table) => definition.source.tables.includes(table));
}

/** A pipeline that was anchored by a nanosync which did not note its tables has all that it was defined with. */
function changedRecord(stored: PipelineRecord, definition: PipelineDefinition): PipelineRecord {
  return stored.anchor === null ? { ...stored, definition } : { ...stored, definition, recorded: recordedTables(stored) };
}

/** Tables that a stored pipeline writes to the same place; the names there may ignore case. */
function takenTargets(definition: PipelineDefinition, existing: readonly PipelineDefinition[]): readonly string[] {
  const place = ({ sink }: PipelineDefinition) => sinkPlace(sink.connection);
  const name = (table: string) => table.toLowerCase(); // Every sink that exists takes names of another case for the same.
  return definition.source.tables.flatMap((table) => {
    const other = existing.find(
      (stored) => place(stored) === place(definition) && stored.source.tables.some((one) => name(one) === name(table)),
    );
    if (other === undefined) return [];
    return [
      `pipeline ${definition.name}: ${table} is already written to ${definition.sink.connection.name} by pipeline ${other.name}: leave it out, or give it a sink of its own.`,
    ];
  });
}

/** The parts, by their name in the file, in which two definitions of a pipeline differ. */
export function differences(a: PipelineDefinition, b: PipelineDefinition): readonly string[] {
  const parts: readonly (readonly [string, (definition: PipelineDefinition) => unknown])[] = [
    ['replication_type', (definition) => definition.replicationType],
    ['source.connection', (definition) => connectionParts(definition.source.connection)],
    ['source.tables', (definition) => definition.source.tables],
    ['sink.connection', (definition) => connectionParts(definition.sink.connection)],
    ['snapshot.concurrency', (definition) => definition.snapshot.concurrency],
    ['snapshot.max_rows_per_second', (definition) => definition.snapshot.maxRowsPerSecond],
    ['snapshot.target_rows_per_partition', (definition) => definition.snapshot.targetRowsPerPartition],
  ];
  return parts.filter(([, part]) => JSON.stringify(part(a)) !== JSON.stringify(part(b))).map(([name]) => name);
}

/** What a connection leads to. Its name is only a name. */
function connectionParts(connection: PipelineDefinition['source']['connection']): unknown {
  const properties = Object.entries(connection.properties).sort(([a], [b]) => (a < b ? -1 : 1));
  return [connection.type, connection.dsn, properties];
}

function refusal(name: string, parts: readonly string[]): string {
  const differs = parts.length === 1 ? `${parts[0]} differs` : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)} differ`;
  return `pipeline ${name} exists and its ${differs} from what is running, which cannot be changed yet: put the old value back, or give the changed pipeline a new name.`;
}

/** Which tables a file lacks that are copied already. */
function missing({ name, source }: PipelineDefinition, stored: PipelineRecord): string {
  const lacking = recordedTables(stored).filter((table) => !source.tables.includes(table));
  return `pipeline ${name} follows ${lacking.join(', ')}, which source.tables no longer names, and a table cannot be taken out yet: put it back, or give the changed pipeline a new name.`;
}
