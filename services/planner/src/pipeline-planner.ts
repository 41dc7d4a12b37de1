import type { Failure, PipelineDefinition, PipelineEvent, PipelineRecord, ServiceContext, Sink, Source, Stored } from '@nanosync/core';
import {
  describeError,
  endTrouble,
  followsChanges,
  isMoving,
  PIPELINE_MACHINE,
  PipelineError,
  readRecord,
  sameConnection,
  stateKeys,
  tablesToAdd,
  tellTrouble,
  turned,
  updateRecord,
} from '@nanosync/core';
import { anchorPipeline } from './anchoring.ts';
import { CopyPlanner } from './copying.ts';
import { stopAndDelete } from './deleting.ts';
import { collectFailures } from './failures.ts';
import { letTablesGo } from './leaving.ts';
import { LooseAnchors } from './loose-anchors.ts';
import { TablePlanner } from './table-planner.ts';
import { TaskPublisher } from './task-publisher.ts';
import { Tidying } from './tidying.ts';

const SERVICE = 'planner';

/** Takes one pipeline through its phases, one step a call. Holds nothing that a restart could not read back. */
export class PipelinePlanner implements AsyncDisposable {
  private readonly ctx: ServiceContext;
  private readonly name: string;
  private source: Source | undefined;
  private sink: Sink | undefined;
  /** By whose connections source and sink are open. */
  private connected: PipelineDefinition | undefined;
  private tables: TablePlanner | CopyPlanner | undefined;
  private tidying: Tidying | undefined;
  private readonly tasks: TaskPublisher;
  private readonly loose: LooseAnchors;
  /** What the record says of waiting, as this planner last read or wrote it. */
  private told: string | null | undefined;
  private waiting: string | null = null;
  /** Said once: connections that are opened again are no new beginning. */
  private resumed = false;
  /** An earlier planner may have left its trouble. */
  private troubled = true;
  /** The anchor of the pipeline as this step found it: what was decided for one anchor is never done to another. */
  private anchorId: string | undefined;
  private readonly fresh = new Set<string>();
  /** What keeps tables from being added, as this step found it. */
  private unmet: PipelineError | undefined;

  constructor(ctx: ServiceContext, name: string) {
    this.ctx = ctx;
    this.name = name;
    this.tasks = new TaskPublisher(ctx);
    this.loose = new LooseAnchors(ctx, name);
  }

  /** Does what the pipeline's phase asks for. `busy` means that more may be done at once. */
  async step(): Promise<'busy' | 'idle' | 'gone' | 'deleted'> {
    this.waiting = null;
    this.unmet = undefined;
    const outcome = await this.advance();
    if (outcome === 'gone' || outcome === 'deleted') return outcome;
    await this.reportWaiting(this.waiting);
    if (this.unmet !== undefined) await this.tell(this.unmet, true);
    else if (this.troubled) await endTrouble(this.ctx.state, this.name, SERVICE);
    this.troubled = this.unmet !== undefined;
    return outcome;
  }

  private async advance(): Promise<'busy' | 'idle' | 'gone' | 'deleted'> {
    const stored = await readRecord<PipelineRecord>(this.ctx.state, stateKeys.pipeline(this.name));
    if (stored === undefined) return 'gone';
    const pipeline = stored.value;
    this.anchorId = pipeline.anchor?.id;
    this.told = pipeline.waiting; // A store may have lost what this planner wrote.
    if (pipeline.intent.deletion !== null) return this.delete(stored);
    if (await this.loose.settle(stored, () => this.openSource(pipeline))) return 'busy';
    await this.reconnect(pipeline); // After that: what was made by the old connection is dropped by it.
    const next = turned(pipeline);
    if (next !== undefined) return this.turn(stored, next);
    if (pipeline.intent.run === 'paused') return 'idle';
    if (pipeline.intent.sink === 'paused') await this.closeSink();
    if (pipeline.request !== null && pipeline.phase !== 'created') return this.begin(stored);
    if (pipeline.phase === 'created') return this.anchor(stored);
    const parts = { ctx: this.ctx, pipeline, source: () => this.openSource(pipeline), sink: () => this.openSink(pipeline) };
    if (await letTablesGo(parts, () => this.closeTables())) return 'busy';
    if (pipeline.phase === 'completed' && tablesToAdd(pipeline).length > 0) {
      await this.move('plan', (record) => record);
      return 'busy';
    }
    if (!isMoving(pipeline)) return 'idle';
    const failure = await collectFailures(this.ctx, this.name, pipeline);
    if (failure !== undefined) {
      await this.fail(failure);
      return 'idle';
    }
    return this.advanceTables(pipeline);
  }

  /** Puts the pipeline into `failed` with a reason and its cure; logged once. */
  async fail(failure: Failure): Promise<void> {
    await this.move('fail', (record) => ({ ...record, failure, waiting: null }));
    this.ctx.log.error('pipeline failed', { pipeline: this.name, reason: failure.reason, cure: failure.cure });
    await this.close();
  }

  /** Gives up the connections, so that the next step opens them anew, and says why. */
  async waitFor(error: PipelineError): Promise<void> {
    await this.close();
    await this.reportWaiting(describeError(error));
    this.troubled = true;
    await this.tell(error, false);
  }

  private async tell(error: PipelineError, partial: boolean): Promise<void> {
    await tellTrouble(this.ctx.state, this.name, SERVICE, error, { nowMs: this.ctx.clock.nowMs(), partial });
  }

  /** Says in the record what the planner waits for, for status; a step that says nothing waits for nothing. */
  private async reportWaiting(waiting: string | null): Promise<void> {
    this.waiting = waiting;
    if (this.told === waiting) return;
    this.told = waiting;
    await updateRecord<PipelineRecord>(this.ctx.state, stateKeys.pipeline(this.name), (record) =>
      record.waiting === waiting ? undefined : { ...record, waiting },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Pauses or resumes. Nothing goes on beside it; what workers were reading they have given back, or will, and it is sent again. */
  private async turn(stored: Stored<PipelineRecord>, next: PipelineRecord): Promise<'busy' | 'idle'> {
    await this.close();
    if ((await this.ctx.state.put(stored.key, next, stored.version)) === undefined) return 'busy';
    const isPaused = next.phase === 'paused';
    if (!isPaused) this.resumed = false;
    this.ctx.log.info(isPaused ? 'pipeline paused' : 'pipeline resumed', {
      pipeline: this.name,
      phase: stored.value.phase,
      to: next.phase,
    });
    return isPaused ? 'idle' : 'busy';
  }

  /** Stops the pipeline for good, and then takes away what there is of it. */
  private async delete(stored: Stored<PipelineRecord>): Promise<'busy' | 'idle' | 'deleted'> {
    const parts = { source: () => this.openSource(stored.value), sink: () => this.openSink(stored.value) };
    const outcome = await stopAndDelete({ ctx: this.ctx, stored, ...parts }, () => this.close());
    if (outcome === 'deleted') return outcome;
    if (outcome === 'stopped') return 'busy';
    await this.reportWaiting(outcome.waits);
    return 'idle';
  }

  /** A resnapshot starts a new life of the slot; the older generations stay visible until the new ones are caught up. */
  private async begin(stored: Stored<PipelineRecord>): Promise<'busy' | 'idle'> {
    await this.close();
    const phase = PIPELINE_MACHINE[stored.value.phase].resnapshot;
    if (phase === null) return 'idle'; // Being deleted: nothing begins any more.
    // Its slot is dropped by the next step; by whoever anchors the pipeline, if this planner dies before.
    if (stored.value.anchor !== null) this.loose.add(stored.value.anchor, stored.version);
    await this.ctx.state.put(stored.key, { ...stored.value, phase, anchor: null, failure: null }, stored.version);
    return 'busy';
  }

  private async anchor(stored: Stored<PipelineRecord>): Promise<'busy' | 'idle'> {
    const { definition, intent } = stored.value;
    if (intent.sink === 'paused') {
      await this.reportWaiting(`The pipeline begins once its sink is resumed: nanosync pipeline resume ${this.name} --sink`);
      return 'idle';
    }
    const parts = { source: await this.openSource(stored.value), sink: await this.openSink(stored.value), loose: this.loose };
    const epochs = await anchorPipeline(this.ctx, stored, parts);
    for (const epoch of epochs) this.fresh.add(epoch);
    this.ctx.log.info('pipeline anchored', { name: definition.name, tables: definition.source.tables.length });
    return 'busy';
  }

  private async advanceTables(pipeline: PipelineRecord): Promise<'busy' | 'idle'> {
    if (this.tables?.anchor !== pipeline.anchor?.id) await this.closeTables();
    if (this.tables === undefined) {
      const { ctx, fresh, tasks } = this;
      const waiting = (text: string | null) => this.reportWaiting(text);
      const parts = { ctx, fresh, tasks, source: await this.openSource(pipeline), waiting };
      this.tables = followsChanges(pipeline.definition) ? await TablePlanner.open(parts, pipeline) : new CopyPlanner(parts, pipeline);
      if (!this.resumed) await this.tables.logResuming();
      this.resumed = true;
      this.tidying = new Tidying(ctx, this.name);
    }
    if (pipeline.anchor !== null) await this.tidying?.step(await this.openSource(pipeline), pipeline.anchor);
    const progress = await this.tables.step(pipeline);
    this.unmet = progress.unmet;
    if (pipeline.phase === 'anchored' && progress.planned) await this.move('plan', (record) => record);
    if (!followsChanges(pipeline.definition)) {
      if (pipeline.phase === 'snapshotting' && progress.allBuilt) await this.complete();
    } else if (pipeline.phase === 'snapshotting' && progress.allBuilt) {
      await this.move('all-built', (record) => ({ ...record, waiting: null }));
      this.ctx.log.info('pipeline streaming', { name: this.name });
    }
    if (pipeline.phase === 'streaming' && !progress.allBuilt) await this.move('plan', (record) => record); // A table was added, or is copied anew.
    return progress.busy ? 'busy' : 'idle';
  }

  /** Everything is copied and shown: the services let the pipeline go with this, and the source keeps nothing for it. */
  private async complete(): Promise<void> {
    await this.move('complete', (record) => ({ ...record, waiting: null }));
    this.ctx.log.info('pipeline completed', { name: this.name });
    await this.close();
  }

  private async move(event: PipelineEvent, change: (record: PipelineRecord) => PipelineRecord): Promise<void> {
    await updateRecord<PipelineRecord>(this.ctx.state, stateKeys.pipeline(this.name), (record) => {
      const phase = PIPELINE_MACHINE[record.phase][event];
      if (phase === null || record.anchor?.id !== this.anchorId)
        throw new PipelineError('conflict', `Another planner changed pipeline ${this.name} meanwhile.`);
      return change({ ...record, phase });
    });
  }

  /** Closes what was opened by other connections than the definition has now; the step opens anew what it needs. */
  private async reconnect({ definition }: PipelineRecord): Promise<void> {
    const before = this.connected;
    this.connected = definition;
    if (before === undefined) return;
    const isSame =
      sameConnection(before.source.connection, definition.source.connection) &&
      sameConnection(before.sink.connection, definition.sink.connection);
    if (!isSame) await this.close();
  }

  private async openSource(pipeline: PipelineRecord): Promise<Source> {
    this.source ??= await this.ctx.openSource(pipeline.definition.source.connection);
    return this.source;
  }

  private async openSink(pipeline: PipelineRecord): Promise<Sink> {
    this.sink ??= await this.ctx.openSink(pipeline.definition.sink.connection);
    return this.sink;
  }

  private async closeTables(): Promise<void> {
    const { tables } = this;
    this.tables = undefined;
    await tables?.[Symbol.asyncDispose]();
  }

  /** A sink that is paused may be wanted by others: a warehouse file has one process at a time. */
  private async closeSink(): Promise<void> {
    const { sink } = this;
    this.sink = undefined;
    await sink?.[Symbol.asyncDispose]();
  }

  private async close(): Promise<void> {
    const { source } = this;
    this.source = undefined;
    await this.closeSink();
    await this.closeTables();
    await this.tasks[Symbol.asyncDispose]();
    await source?.[Symbol.asyncDispose]();
  }
}
