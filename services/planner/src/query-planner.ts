import type {
  Failure,
  PipelineError,
  PipelineRecord,
  QueryDefinition,
  QueryRecord,
  QueryRun,
  ServiceContext,
  Sink,
  SinkReport,
  Source,
  Stored,
  TableRecord,
} from '@nanosync/core';
import { endTrouble, readRecord, stateKeys, tellTrouble, updateRecord } from '@nanosync/core';
import { createTopics } from './anchoring.ts';
import { stopAndDelete } from './deleting.ts';
import { Ledger } from './ledger.ts';
import { beginRun } from './query-begin.ts';
import { endRun } from './query-end.ts';
import { changed, NOWHERE, queryRecord } from './query-record.ts';
import { TaskPublisher } from './task-publisher.ts';
import { emitTasks } from './tasks.ts';

const SERVICE = 'planner';

/**
 * Takes one query pipeline on, one step a call: begins a run when it is due or asked for, hands out its one task, and stores how it ended. A run is stored before
 * anything of it is done, in one write that fails for all but one of several planners; so a restart goes on with it. Whether its result is
 * in the table is asked of the sink, and nobody else.
 */
export class QueryPlanner implements AsyncDisposable {
  private readonly ctx: ServiceContext;
  private readonly name: string;
  private readonly tasks: TaskPublisher;
  private source: Source | undefined;
  private sink: Sink | undefined;
  private ledger: { readonly epoch: string; readonly of: Ledger } | undefined;
  /** An earlier planner may have left its trouble. */
  private troubled = true;

  constructor(ctx: ServiceContext, name: string) {
    this.ctx = ctx;
    this.name = name;
    this.tasks = new TaskPublisher(ctx);
  }

  /** Does what the time, the users or the run under way ask for. `busy` means that more may be done at once. */
  async step(): Promise<'busy' | 'idle' | 'gone' | 'deleted'> {
    const stored = await readRecord<PipelineRecord>(this.ctx.state, stateKeys.pipeline(this.name));
    const query = stored?.value.definition.query;
    if (stored === undefined || query === undefined) return 'gone';
    if (stored.value.intent.deletion !== null) return this.delete(stored);
    const outcome = await this.advance(stored, query);
    if (this.troubled) await endTrouble(this.ctx.state, this.name, SERVICE);
    this.troubled = false;
    return outcome;
  }

  /** Ends the run under way: what it needs is lost. */
  async fail(failure: Failure): Promise<void> {
    const stored = await readRecord<PipelineRecord>(this.ctx.state, stateKeys.pipeline(this.name));
    const runs = await readRecord<QueryRecord>(this.ctx.state, stateKeys.query(this.name));
    if (stored !== undefined && runs?.value.run) await this.end(stored.value, runs, runs.value.run, failure);
  }

  /** Gives up the connections, so that the next step opens them anew, and says why. */
  async waitFor(error: PipelineError): Promise<void> {
    await this[Symbol.asyncDispose]();
    this.troubled = true;
    await tellTrouble(this.ctx.state, this.name, SERVICE, error, { nowMs: this.ctx.clock.nowMs() });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { source, sink } = this;
    this.source = undefined;
    this.sink = undefined;
    this.ledger = undefined;
    await this.tasks[Symbol.asyncDispose]();
    await source?.[Symbol.asyncDispose]();
    await sink?.[Symbol.asyncDispose]();
  }

  private async advance(stored: Stored<PipelineRecord>, query: QueryDefinition): Promise<'busy' | 'idle'> {
    const pipeline = stored.value;
    if (pipeline.phase === 'created') return this.schedule(stored);
    if (pipeline.phase !== 'scheduled') return 'idle';
    const runs = await queryRecord(this.ctx, this.name, query.schedule);
    if (pipeline.request !== null) return this.take(stored, runs);
    const { run, asked, dueMs } = runs.value;
    // No run begins while one is under way: its times pass, and are made up by one.
    if (run !== null) return this.follow(pipeline, runs, run);
    if (pipeline.intent.run === 'paused' || (asked === null && dueMs > this.ctx.clock.nowMs())) return 'idle';
    await beginRun(this.ctx, { stored, runs, query }, { source: await this.openSource(pipeline), sink: await this.openSink(pipeline) });
    return 'busy';
  }

  private async delete(stored: Stored<PipelineRecord>): Promise<'busy' | 'idle' | 'deleted'> {
    const parts = { source: () => this.openSource(stored.value), sink: () => this.openSink(stored.value) };
    const outcome = await stopAndDelete({ ctx: this.ctx, stored, ...parts }, () => this[Symbol.asyncDispose]());
    if (outcome === 'stopped') return 'busy';
    if (outcome === 'deleted') return 'deleted';
    await updateRecord<PipelineRecord>(this.ctx.state, stored.key, (record) =>
      record.waiting === outcome.waits ? undefined : { ...record, waiting: outcome.waits },
    );
    return 'idle';
  }

  /** Makes the topics, and an anchor that is nothing at the source: it tells one life of the pipeline from the next. */
  private async schedule(stored: Stored<PipelineRecord>): Promise<'busy'> {
    await createTopics(this.ctx, this.name, []);
    const anchor = { id: this.ctx.ids.next(), l0: NOWHERE, origin: {} };
    const value: PipelineRecord = { ...stored.value, phase: 'scheduled', anchor, failure: null, waiting: null };
    if ((await this.ctx.state.put(stored.key, value, stored.version)) === undefined) throw changed(this.name);
    this.ctx.log.info('query scheduled', { name: this.name });
    return 'busy';
  }

  /** What was asked for goes into the record of the runs. A resnapshot begins a new life, so it ends the run under way. */
  private async take(stored: Stored<PipelineRecord>, runs: Stored<QueryRecord>): Promise<'busy'> {
    const { ctx, name } = this;
    const isAnew = stored.value.request === 'resnapshot';
    if (isAnew && runs.value.run !== null) {
      const failure = { reason: 'It was ended by a resnapshot.', cure: 'None is needed: the next run is on its way.' };
      await this.end(stored.value, runs, runs.value.run, failure);
      return 'busy';
    }
    const anchor = isAnew && stored.value.anchor !== null ? { ...stored.value.anchor, id: ctx.ids.next() } : stored.value.anchor;
    const asked = isAnew ? 'replace' : (runs.value.asked ?? 'run');
    const written = await ctx.state.putAll([
      { key: stored.key, value: { ...stored.value, request: null, anchor }, expected: stored.version },
      { key: runs.key, value: { ...runs.value, asked }, expected: runs.version },
    ]);
    if (!written) throw changed(name);
    return 'busy';
  }

  private async follow(pipeline: PipelineRecord, runs: Stored<QueryRecord>, run: QueryRun): Promise<'busy' | 'idle'> {
    const { ctx, name } = this;
    if (run.failure !== undefined) return this.end(pipeline, runs, run, run.failure); // Its planner died on the way.
    const table = (await readRecord<TableRecord>(ctx.state, stateKeys.table(name, run.table)))?.value;
    if (table?.epoch !== run.epoch || table.anchor !== pipeline.anchor?.id)
      return this.end(pipeline, runs, run, {
        reason: 'The state store lost what it knew of the run.',
        cure: 'None is needed: the next run begins anew.',
      });
    const report = (await readRecord<SinkReport>(ctx.state, stateKeys.sinkReport(name, run.table)))?.value;
    if (report?.epoch === run.epoch && (report.built || report.failure !== null)) return this.end(pipeline, runs, run, report.failure);
    if (this.ledger?.epoch !== run.epoch) this.ledger = { epoch: run.epoch, of: await Ledger.load(ctx, name, table) };
    const ledger = this.ledger.of;
    await ledger.refresh();
    const voided = ledger.voided();
    if (voided !== undefined)
      return this.end(pipeline, runs, run, { reason: voided, cure: `Then wait for the next run, or: nanosync pipeline run ${name}` });
    if (pipeline.intent.run === 'paused') return 'idle';
    await emitTasks({ ctx, pipeline, tasks: this.tasks, open: [{ table, ledger }] });
    return 'idle';
  }

  private async end(pipeline: PipelineRecord, runs: Stored<QueryRecord>, run: QueryRun, failure: Failure | null): Promise<'busy'> {
    this.ledger = undefined;
    await endRun(this.ctx, { pipeline, runs, run, failure }, await this.openSink(pipeline));
    return 'busy';
  }

  private async openSource(pipeline: PipelineRecord): Promise<Source> {
    this.source ??= await this.ctx.openSource(pipeline.definition.source.connection);
    return this.source;
  }

  private async openSink(pipeline: PipelineRecord): Promise<Sink> {
    this.sink ??= await this.ctx.openSink(pipeline.definition.sink.connection);
    return this.sink;
  }
}
