import { z } from 'zod';
import type { DifferenceKind, VerifyProgress } from '../verify/ports.ts';
import type { TableOutcome, VerifyEvent } from '../verify/verify-pipeline.ts';

/** How `verify` compares. */
export const VERIFY_QUERY = z.strictObject({
  table: z.string().max(500).optional().meta({ description: 'Only this table.' }),
  limit: z.string().max(20).optional().meta({ description: 'Keys that are listed at most of each table. Default 100.' }),
  rate: z.string().max(20).optional().meta({ description: 'Rows a second that are read of each side at most; 0, the default: no limit.' }),
  values: z.enum(['true', 'false']).optional().meta({ description: 'The rows that differ, whole, beside their keys.' }),
  asIs: z.enum(['true', 'false']).optional().meta({ description: 'Compare both sides as they are, lag included.' }),
});

const OUTCOMES = ['equal', 'undecided', 'not-compared', 'different'] as const satisfies readonly TableOutcome['outcome'][];
const KINDS = ['different', 'missing', 'extra', 'changing', 'held'] as const satisfies readonly DifferenceKind[];
const STEPS = ['waiting', 'reading', 'looking-again', 'settling'] as const satisfies readonly VerifyProgress['step'][];

const count = z.int().min(0);
const cells = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));

const compared = z.strictObject({
  kind: z.literal('table'),
  table: z.string(),
  outcome: z.enum(['equal', 'different', 'undecided']),
  sourceRows: count,
  sinkRows: count,
  counts: z.strictObject(Object.fromEntries(KINDS.map((kind) => [kind, count])) as Record<DifferenceKind, typeof count>),
  unsendable: count.meta({ description: 'Rows at the source that have no form in which they could be sent.' }),
  notSettled: count.meta({ description: 'Keys that seemed to differ and were too many to be looked at one by one.' }),
  buckets: z
    .strictObject({ notExamined: count, of: count })
    .meta({ description: 'Parts of the keys that seemed to differ and were not looked at.' }),
  position: z
    .string()
    .nullable()
    .meta({ description: 'Of the source: the sink had applied everything below it when its first row was read.' }),
  quarantined: count,
  seconds: z.number(),
});

const notCompared = z.strictObject({
  kind: z.literal('table'),
  table: z.string(),
  outcome: z.literal('not-compared'),
  reason: z.string(),
  cure: z.string().nullable(),
});

/** One line of `verify`. The last one is `end`, or `error` where it broke off. */
export const VERIFY_LINE = z.union([
  z.strictObject({ kind: z.literal('note'), says: z.string() }),
  z.strictObject({ kind: z.literal('progress'), table: z.string(), step: z.enum(STEPS), done: count, of: count }),
  z.strictObject({
    kind: z.literal('difference'),
    table: z.string(),
    how: z.enum(KINDS),
    key: cells,
    columns: z.array(z.string()).meta({ description: 'Those that differ; none where one side has no row.' }),
    source: cells.nullable().optional(),
    sink: cells.nullable().optional(),
  }),
  compared,
  notCompared,
  z.strictObject({ kind: z.literal('end'), outcome: z.enum(OUTCOMES), tables: count }),
  z.strictObject({ kind: z.literal('error'), code: z.string(), message: z.string(), cure: z.string().nullable() }),
]);

/** Each event that is told as it is has a line of its own. */
type Told = Exclude<VerifyEvent, { readonly kind: 'difference' }>;
type Line = z.output<typeof VERIFY_LINE>;
/** Does not compile where an event has no line. */
export const lineOfEvent: (event: Told) => Line = (event) => event;
