import { type BenchContext, type BenchPipeline, benchPipeline, end, start, until } from './bench-context.ts';
import { insertInTransactions, makeBenchTable } from './bench-table.ts';

const TABLE = 'public.bench_changes';
const FIRST_ROWS = 1000;
const SLOT = 'bench_baseline';
const PUBLICATION = 'bench_baseline';

/** Measures changes that are already in the slot when the pipeline starts. */
export interface ChangesBench {
  /** Seconds of the pipeline's capture, and of the bare reader, for the same changes. */
  run(changes: number): Promise<{ readonly seconds: number; readonly baseline: number; readonly rssMb: number }>;
}

/** Brings a small table live, so that what follows is nothing but changes. */
export async function prepareChanges(context: BenchContext): Promise<ChangesBench> {
  await makeBenchTable(context.admin, TABLE, FIRST_ROWS);
  const pipeline = benchPipeline(context, 'changes', TABLE);
  await oneLife(context, pipeline, async ({ process: child }) => {
    await until(context, pipeline, child, ({ tables }) => tables.length === 1 && tables[0]?.phase === 'following');
  });
  let next = FIRST_ROWS + 1;
  return {
    run: async (changes) => {
      const from = next;
      next += changes;
      return measure(context, pipeline, from, changes);
    },
  };
}

/**
 * Makes changes wait in a slot of the bare reader's and in those that are there already, lets the bare reader drain its own, and then
 * measures `drain`.
 */
export async function measureWaiting<T>(
  context: BenchContext,
  { table, from, changes }: { readonly table: string; readonly from: number; readonly changes: number },
  drain: () => Promise<T>,
): Promise<T & { readonly baseline: number }> {
  await context.admin.query(`SELECT pg_create_logical_replication_slot('${SLOT}', 'pgoutput')`);
  await context.admin.query(`CREATE PUBLICATION ${PUBLICATION} FOR TABLE ${table}`);
  try {
    await insertInTransactions(context.admin, table, from, changes);
    const { rows } = await context.admin.query<{ lsn: string }>(
      "SELECT pg_current_wal_lsn() AS lsn FROM pg_logical_emit_message(true, 'bench', '')",
    );
    const baseline = await context.baselines.stream(context.dsn, SLOT, PUBLICATION, rows[0]?.lsn ?? '0/0');
    return { ...(await drain()), baseline };
  } finally {
    await context.admin.query(`SELECT pg_drop_replication_slot('${SLOT}')`);
    await context.admin.query(`DROP PUBLICATION ${PUBLICATION}`);
  }
}

async function measure(context: BenchContext, pipeline: BenchPipeline, from: number, changes: number) {
  const all = from - FIRST_ROWS - 1 + changes;
  return measureWaiting(context, { table: TABLE, from, changes }, () =>
    oneLife(context, pipeline, async ({ process: child, saidAt }) => {
      const published = await until(context, pipeline, child, ({ capture }) => (capture?.tables[TABLE as never]?.changes ?? 0) >= all);
      const began = saidAt('capture session begins');
      if (began === undefined) throw new Error('the pipeline did not say when it began to read the slot');
      // The sink goes on applying; let it finish, so that the next run begins with an empty bus.
      await until(context, pipeline, child, ({ tables }) => (tables[0]?.sink?.changesApplied ?? 0) >= all);
      return { seconds: (published - began) / 1000 };
    }),
  );
}

async function oneLife<T>(
  context: BenchContext,
  pipeline: BenchPipeline,
  work: (started: ReturnType<typeof start>) => Promise<T>,
): Promise<T & { readonly rssMb: number }> {
  context.signal.throwIfAborted();
  const started = start(pipeline);
  try {
    const result = await work(started);
    return { ...result, rssMb: await end(started.process) };
  } finally {
    await started.process.kill();
  }
}
