import type { PipelineDefinition, QueryDefinition } from '@nanosync/core';
import type { PipelineStatus } from '@nanosync/runtime';
import { cronProblem, isTimeZone } from '@nanosync/runtime';
import { z } from 'zod';
import type { DefinitionPart } from '../apply/edits.ts';
import { EDITS } from '../apply/edits.ts';
import type { ApiErrorBody } from './errors.ts';
import { API_ERROR_CODES } from './errors.ts';

const name = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,39}$/, 'cannot be a pipeline name');
const text = z.string().max(65_536, 'is longer than 65536 characters');
const count = z.int().min(1, 'must be at least 1');

const connection = z.strictObject({
  name: text,
  type: z.string().max(40),
  dsn: text.nullable(),
  properties: z.record(z.string().max(100), text),
});

const columnRules = z.strictObject({
  exclude: z.array(text).readonly(),
  hash: z.array(text).readonly(),
});

/** Every field has its schema: one that is new does not compile without. */
type Shape<T> = Record<keyof T, z.ZodType>;

const query = z.strictObject({
  statement: text.min(1, 'is empty'),
  table: z
    .string()
    .max(500)
    .regex(/^[^.]+\../, 'is no table name; write schema.table'),
  key: z.array(text).max(1000).readonly(),
  schedule: z.union([
    z.strictObject({ everyMs: z.int().min(1000, 'must be at least 1000') }),
    z.strictObject({
      cron: z
        .string()
        .max(200)
        .refine((cron) => cronProblem(cron) === undefined, 'is no cron expression'),
      timeZone: z.string().max(100).refine(isTimeZone, 'is no time zone'),
    }),
  ]),
  timeoutMs: count.nullable(),
} satisfies Shape<QueryDefinition>);

/** A pipeline's definition as a pipelines file gives it once it is read: defaults filled in, references kept. */
export const DEFINITION: z.ZodType<PipelineDefinition> = z
  .strictObject({
    name,
    replicationType: z.enum(['cdc_backfill', 'cdc', 'snapshot', 'query']),
    source: z.strictObject({
      connection,
      tables: z.array(z.string().regex(/^[^.]+\../, 'is no table name; write schema.table')).max(10_000),
      columns: z.record(z.string().max(500), columnRules).exactOptional(),
    } satisfies Shape<PipelineDefinition['source']>),
    sink: z.strictObject({ connection } satisfies Shape<PipelineDefinition['sink']>),
    snapshot: z.strictObject({
      concurrency: count,
      targetRowsPerPartition: count,
      maxRowsPerSecond: z.int().min(1000, 'must be at least 1000').nullable(),
    } satisfies Shape<PipelineDefinition['snapshot']>),
    query: query.exactOptional(),
  } satisfies Shape<PipelineDefinition>)
  .superRefine(({ replicationType, source, query }, context) => {
    const wrong = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    if (replicationType !== 'query' && source.tables.length === 0) wrong(['source', 'tables'], 'is empty');
    if (replicationType !== 'query' && query !== undefined) wrong(['query'], 'goes only with replicationType query');
    if (replicationType === 'query' && query === undefined) wrong(['query'], 'is missing');
    if (replicationType === 'query' && source.tables.length > 0) wrong(['source', 'tables'], 'does not go with replicationType query');
  })
  .meta({ title: 'Definition' });

/** Which pipeline. */
export const PIPELINE_PARAMS = z.strictObject({ name: z.string().max(100).meta({ description: 'The name of the pipeline.' }) });

/** What `apply` asks. */
export const APPLY_REQUEST = z.strictObject({
  definitions: z.array(DEFINITION).min(1, 'is empty').max(1000),
  dryRun: z.boolean().optional().meta({ description: 'Say what would be done; store nothing.' }),
  check: z
    .boolean()
    .optional()
    .meta({ description: 'Look at source and sink of what comes. Default true; only a dry run can do without.' }),
  confirmed: z.boolean().optional().meta({ description: 'Rows that users see may go, where the plan says so.' }),
});

const edit = z.strictObject({
  part: z.enum(Object.keys(EDITS) as [DefinitionPart, ...DefinitionPart[]]),
  effect: z.string(),
  drops: z.boolean().meta({ description: 'Rows that users see go with it: it needs `confirmed`.' }),
});

/** The plan of `apply`: what was done, or would be. */
export const APPLY_ANSWER = z.strictObject({
  applied: z.boolean(),
  pipelines: z.array(z.strictObject({ name: z.string(), outcome: z.enum(['created', 'updated', 'unchanged']), edits: z.array(edit) })),
});
export type ApplyAnswer = z.output<typeof APPLY_ANSWER>;

/** One pipeline's status. Named here is what every version has; more fields may come. The type is the one that `status --json` is made of. */
export const STATUS = z
  .looseObject({
    name: z.string(),
    phase: z.string(),
    healthy: z.boolean(),
    waiting: z.string().nullable(),
    failure: z.strictObject({ reason: z.string(), cure: z.string() }).nullable(),
    troubles: z.array(z.strictObject({ service: z.string(), reason: z.string(), manual: z.boolean() })),
    tables: z.array(z.looseObject({ table: z.string(), phase: z.string(), state: z.string(), epoch: z.string() })),
  })
  .meta({ title: 'Status' }) as unknown as z.ZodType<PipelineStatus>;

/** All pipelines. */
export const STATUS_ANSWER = z.strictObject({
  serving: z.boolean().meta({ description: 'Every service that the pipelines need is there.' }),
  absent: z
    .record(z.string(), z.array(z.string()).readonly())
    .optional()
    .meta({ description: 'Of a cluster: by pipeline, the services that no process does for it.' }),
  pipelines: z.array(STATUS).readonly(),
});
export type StatusAnswer = z.output<typeof STATUS_ANSWER>;

/** Whether something had to be changed for what was asked. */
export const COMMAND_ANSWER = z.strictObject({
  pipeline: z.string(),
  changed: z.boolean().meta({ description: 'False: it was asked for already, or is so.' }),
  says: z.string(),
});

/** What `doctor` looks at: the stored pipelines, or one of them, or such that are to be applied. */
export const DOCTOR_REQUEST = z.strictObject({
  pipeline: z.string().max(100).optional(),
  definitions: z.array(DEFINITION).max(1000).optional().meta({ description: 'Looked at besides what is stored, as if they were applied.' }),
});

/** One thing that was looked at. */
export const DOCTOR_CHECK = z.strictObject({
  level: z.enum(['ok', 'warning', 'problem']),
  place: z.string(),
  what: z.string(),
  cure: z.string().nullable(),
});
export type DoctorCheck = z.output<typeof DOCTOR_CHECK>;

/** What `doctor` found, in the order in which it looked. */
export const DOCTOR_ANSWER = z.strictObject({
  healthy: z.boolean().meta({ description: 'Nothing is a problem; there may be warnings.' }),
  checks: z.array(DOCTOR_CHECK),
});

/** Which part is paused or resumed. */
export const PART_REQUEST = z.strictObject({ part: z.enum(['pipeline', 'sink']).optional() });
/** What a run before its time is asked with: nothing. */
export const RUN_REQUEST = z.strictObject({});
export const RESNAPSHOT_REQUEST = z.strictObject({ table: z.string().max(500).optional().meta({ description: 'Only this table.' }) });
export const DELETE_REQUEST = z.strictObject({
  dropTables: z.boolean().optional().meta({ description: 'Its tables at the sink go too.' }),
  force: z.boolean().optional().meta({ description: 'A source or sink that does not answer is left as it is.' }),
});

/** What can be asked for as `topic`: a topic, and of a change topic its changes or its control events, of which there are many. */
export const TOPIC_WORDS = ['rows', 'changes', 'control', 'tasks', 'quarantine'] as const;
export type TopicWord = (typeof TOPIC_WORDS)[number];

/** What `tap` shows. */
export const TAP_QUERY = z.strictObject({
  table: z.string().max(500).optional(),
  key: z.string().max(10_000).optional(),
  from: z.string().max(200).optional().meta({ description: 'beginning, now, 10m, a time, or a position.' }),
  to: z.string().max(200).optional(),
  topic: z.string().max(200).optional().meta({ description: 'rows, changes, control, tasks, quarantine; several with commas.' }),
  limit: z.string().max(20).optional().meta({ description: 'Entries at most; 0 for no end. Default 1000, or no end when following.' }),
  follow: z.enum(['true', 'false']).optional(),
});

/** One line of `tap`. What an entry says besides `kind` is in docs/cli.md. */
export const TAP_LINE = z.looseObject({
  kind: z.enum(['row', 'end', 'change', 'control', 'task', 'quarantined', 'undecodable', 'note', 'error']),
});

/** Which log lines are shown. */
export const LOGS_QUERY = z.strictObject({
  service: z.string().max(100).optional().meta({ description: 'Only of this service.' }),
  pipeline: z.string().max(100).optional().meta({ description: 'Only about this pipeline.' }),
  level: z.enum(['info', 'warn', 'error']).optional().meta({ description: 'Only of this level or above.' }),
  limit: z.string().max(20).optional().meta({ description: 'The newest so many; 0 for all that are kept. Default 100.' }),
  follow: z.enum(['true', 'false']).optional(),
});

const logFields = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));

/** One line of `logs`. */
export const LOGS_LINE = z.union([
  z.strictObject({
    kind: z.literal('line'),
    time: z.string(),
    level: z.enum(['info', 'warn', 'error']),
    msg: z.string(),
    fields: logFields.meta({ description: 'What this line says.' }),
    bound: logFields.meta({ description: 'What all lines of its service or pipeline carry.' }),
  }),
  z.strictObject({ kind: z.literal('note'), says: z.string() }),
  z.strictObject({ kind: z.literal('error'), code: z.string(), message: z.string(), cure: z.string().nullable() }),
]);
export type LogsLine = z.output<typeof LOGS_LINE>;

/** The body of every error. */
export const ERROR: z.ZodType<ApiErrorBody> = z
  .strictObject({ code: z.enum(API_ERROR_CODES), message: z.string(), cure: z.string().nullable() })
  .meta({ title: 'Error' });
