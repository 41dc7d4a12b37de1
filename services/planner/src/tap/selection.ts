import type { TopicWord } from '@nanosync/api';
import { TOPIC_WORDS } from '@nanosync/api';
import type { PipelineRecord, TableRecord, Topics } from '@nanosync/core';
import { busPartitionOf, PipelineError, targetsOf } from '@nanosync/core';
import { nearest } from '@nanosync/runtime';
import type { Bound } from './bound.ts';
import { parseBound } from './bound.ts';
import type { TopicKind } from './entry.ts';
import type { WantedKey } from './key.ts';
import { parseKey } from './key.ts';

/** The options of `tap` as they were written. */
export interface TapOptions {
  readonly table?: string | undefined;
  readonly key?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly follow?: boolean;
  readonly topic?: readonly string[];
}

/** One topic to read. */
export interface TapTopic {
  readonly name: string;
  readonly kind: TopicKind;
  /** In words, for notes. */
  readonly label: string;
}

/** What `tap` shows. */
export interface TapSelection {
  readonly pipeline: string;
  readonly topics: readonly TapTopic[];
  readonly words: ReadonlySet<TopicWord>;
  readonly tables: ReadonlySet<string>;
  readonly key: WantedKey | undefined;
  readonly from: Bound;
  readonly to: Bound | undefined;
  readonly follow: boolean;
}

/** Works out what is asked for; throws PipelineError `config` for a table, key, topic or bound that cannot be. */
export function selectionOf(
  pipeline: PipelineRecord,
  tables: readonly TableRecord[],
  topics: Topics,
  { options, nowMs }: { readonly options: TapOptions; readonly nowMs: number },
): TapSelection {
  const { name } = pipeline.definition;
  const targets = targetsOf(pipeline.definition);
  const chosen = options.table === undefined ? targets : [chosenTable(name, targets, options.table)];
  const from =
    options.from === undefined ? ({ at: options.follow ? 'now' : 'beginning' } as const) : parseBound('--from', options.from, nowMs);
  const to = options.to === undefined ? undefined : parseBound('--to', options.to, nowMs);
  if (options.follow && to !== undefined) throw new PipelineError('config', '--follow has no end, so --to does not go with it.');
  const words = chosenWords(options, [from, to]);
  return {
    pipeline: name,
    topics: topicsOfWords(words, name, chosen, topics),
    words,
    tables: new Set(chosen),
    key: options.key === undefined ? undefined : parseKey(schemaOf(name, chosen, tables), options.key),
    from,
    to,
    follow: options.follow === true,
  };
}

/** The bus partition of a change topic that alone can hold the key; undefined where all are read. */
export function onlyPartition(selection: TapSelection, topic: TapTopic, partitions: number): number | undefined {
  return selection.key === undefined || topic.kind !== 'changes' ? undefined : busPartitionOf(selection.key.bytes, partitions);
}

function chosenTable(pipeline: string, known: readonly string[], written: string): string {
  const found = known.filter((table) => table === written || bare(table) === written);
  if (found.length === 1) return found[0] as string;
  const near = nearest(written, known) ?? known[known.map(bare).indexOf(nearest(written, known.map(bare)) ?? '')];
  throw new PipelineError('config', `pipeline ${pipeline} has no table ${JSON.stringify(written)}.`, {
    hint: near === undefined ? `Its tables are ${known.join(', ')}.` : `Did you mean ${near}?`,
  });
}

/** The name alone, as users write it where no other schema has it. */
function bare(table: string): string {
  return table.slice(table.indexOf('.') + 1);
}

function schemaOf(pipeline: string, chosen: readonly string[], tables: readonly TableRecord[]) {
  if (chosen.length > 1)
    throw new PipelineError('config', `pipeline ${pipeline} has ${chosen.length} tables, and a key belongs to one.`, {
      hint: `Name it as well: --table ${chosen[0]}`,
    });
  const record = tables.find(({ table }) => table === chosen[0]);
  if (record !== undefined) return record.schema;
  throw new PipelineError('config', `${chosen[0]} is not planned yet, so its key is not known.`, { hint: 'Start the server first.' });
}

function chosenWords({ topic, key }: TapOptions, bounds: readonly (Bound | undefined)[]): ReadonlySet<TopicWord> {
  const written = topic?.flatMap((words) => words.split(','));
  const byPosition = bounds.some((bound) => bound?.at === 'position');
  for (const word of written ?? []) {
    if (!TOPIC_WORDS.includes(word as TopicWord)) {
      const near = nearest(word, TOPIC_WORDS);
      throw new PipelineError('config', `--topic takes ${TOPIC_WORDS.join(', ')}, not ${JSON.stringify(word)}.`, {
        ...(near !== undefined && { hint: `Did you mean ${near}?` }),
      });
    }
    if (byPosition && word !== 'changes' && word !== 'control')
      throw new PipelineError('config', `Messages of ${word} have no position.`, { hint: 'Give a time, or --topic changes.' });
    if (key !== undefined && (word === 'tasks' || word === 'control'))
      throw new PipelineError('config', `Messages of ${word} belong to no key.`, {
        hint: 'Leave out --key, or ask for rows, changes or quarantine.',
      });
  }
  if (written !== undefined) return new Set(written as TopicWord[]);
  if (byPosition) return new Set(key === undefined ? (['changes', 'control'] as const) : (['changes'] as const));
  return new Set(key === undefined ? TOPIC_WORDS : (['rows', 'changes', 'quarantine'] as const));
}

function topicsOfWords(words: ReadonlySet<TopicWord>, pipeline: string, tables: readonly string[], topics: Topics): readonly TapTopic[] {
  const changes = tables.map(
    (table) => ({ name: topics.changes(pipeline, table), kind: 'changes', label: `changes of ${table}` }) as const,
  );
  return [
    ...(words.has('tasks') ? [{ name: topics.tasks, kind: 'tasks', label: 'tasks' } as const] : []),
    ...(words.has('rows') ? [{ name: topics.rows(pipeline), kind: 'rows', label: 'rows' } as const] : []),
    ...(words.has('changes') || words.has('control') ? changes : []),
    ...(words.has('quarantine') ? [{ name: topics.quarantine(pipeline), kind: 'quarantine', label: 'quarantine' } as const] : []),
  ];
}
