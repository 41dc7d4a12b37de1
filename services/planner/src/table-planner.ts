import type { PipelineRecord, ServiceContext, SinkReport, Source, Stored, TableEvent, TableRecord } from '@nanosync/core';
import { comparePositions, describeError, PipelineError, readRecord, stateKeys, step, TABLE_MACHINE, tablesToAdd } from '@nanosync/core';
import { addTables } from './adding.ts';
import { Beside } from './beside.ts';
import { captureOf } from './capture-view.ts';
import { ConsistencyMarks } from './consistency-marks.ts';
import { beginCopies } from './copying-anew.ts';
import { Ledger } from './ledger.ts';
import { planRanges, renewEpoch, voidPlan } from './ranges.ts';
import { asBuilt, StoppedTables, stopCopies } from './stopping.ts';
import { tableRecords } from './table-records.ts';
import type { TaskPublisher } from './task-publisher.ts';
import { emitTasks } from './tasks.ts';
import { whileMoving } from './while-moving.ts';

/** How often the tables are compared with what was planned, in milliseconds. */
const DRIFT_EVERY_MS = 5000;
/** How long after a try a table that could not be added is tried again, in milliseconds. */
const ADD_AGAIN_MS = 2000;

/** What a round over a pipeline's tables found. */
export interface TablesProgress {
  readonly busy: boolean;
  /** Every table has its ranges in the ledger. */
  readonly planned: boolean;
  readonly allBuilt: boolean;
  /** What keeps tables from being added, while the others go on. */
  readonly unmet: PipelineError | undefined;
}

/** What the tables of one anchor are moved with. */
export interface TablePlannerParts {
  readonly ctx: ServiceContext;
  readonly source: Source;
  readonly tasks: TaskPublisher;
  /** Epochs that this planner chose and under which no ranges were stored yet. */
  readonly fresh: Set<string>;
  readonly waiting: (text: string | null) => Promise<void>;
}

/** Moves the tables of one pipeline: ranges, tasks, L1, built, following. One round a call. */
export class TablePlanner implements AsyncDisposable {
  private readonly parts: TablePlannerParts;
  private pipeline: PipelineRecord;
  private readonly ledgers = new Map<string, Ledger>();
  private readonly marks: ConsistencyMarks;
  private nextLookMs = 0;
  private beside = new Beside();
  private readonly stopped = new StoppedTables();
  private unmet: PipelineError | undefined;
  private addAgainMs = 0;
  /** Why this round gave out no tasks, or null. */
  private held: string | null = null;

  private constructor(parts: TablePlannerParts, pipeline: PipelineRecord) {
    this.parts = parts;
    this.pipeline = pipeline;
    this.marks = new ConsistencyMarks(parts.ctx, parts.source, pipeline.definition.name);
  }

  static async open(parts: TablePlannerParts, pipeline: PipelineRecord): Promise<TablePlanner> {
    const planner = new TablePlanner(parts, pipeline);
    for (const { value } of await planner.records()) if (isCopied(value)) await planner.ledger(value);
    return planner;
  }

  /** The lines a user sees when an interrupted pipeline goes on. */
  async logResuming(): Promise<void> {
    const { name } = this.pipeline.definition;
    if (this.pipeline.phase === 'anchored') return;
    this.parts.ctx.log.info('pipeline resuming', { name });
    for (const { value } of await this.records()) {
      if (!isCopied(value)) continue;
      const ledger = await this.ledger(value);
      this.parts.ctx.log.info('snapshot in progress', {
        table: value.table,
        completed_partitions: `${ledger.completed}/${value.partitions}`,
      });
    }
  }

  /** The anchor whose tables these are. */
  get anchor(): string | undefined {
    return this.pipeline.anchor?.id;
  }

  /** One round, with the pipeline as it is stored now. */
  async step(pipeline: PipelineRecord): Promise<TablesProgress> {
    this.pipeline = pipeline;
    this.beside.rethrow();
    this.held = null;
    if (pipeline.copyStopped === true) await this.stopCopies();
    const begun = await beginCopies({ ...this.parts, pipeline });
    let busy = (await this.planTables()) || begun;
    this.startAdding();
    const tables = await this.records();
    await this.lookForDrift(tables);
    busy = (await this.readTables(tables)) || busy;
    for (const table of await this.records()) busy = (await this.followSink(table)) || busy;
    // One text a round: what a person can end comes before what ends by itself.
    const waiting = this.beside.waiting ?? this.held;
    if (waiting !== null) await this.parts.waiting(waiting);
    const phases = (await this.records()).map(({ value }) => value.phase);
    return {
      busy,
      planned: phases.every((phase) => phase !== 'planned'),
      allBuilt: phases.every((phase) => phase === 'built' || phase === 'following'),
      unmet: this.unmet,
    };
  }

  /** Ends what goes on beside the rounds. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.beside[Symbol.asyncDispose]();
  }

  /** What waits for others, to copy what is not to be copied any more, is given up first. */
  private async stopCopies(): Promise<void> {
    await this.beside[Symbol.asyncDispose]();
    this.beside = new Beside();
    await stopCopies({ ...this.parts, pipeline: this.pipeline });
  }

  /** A table that is no longer what was planned ends the pipeline's work until a person has it copied anew. */
  private async lookForDrift(tables: readonly Stored<TableRecord>[]): Promise<void> {
    if (this.parts.ctx.clock.monotonicMs() < this.nextLookMs) return;
    this.nextLookMs = this.parts.ctx.clock.monotonicMs() + DRIFT_EVERY_MS;
    const { name } = this.pipeline.definition;
    const drifts = await this.parts.source.drift(
      name,
      tables.map(({ value }) => value),
    );
    if (drifts.length > 0)
      throw new PipelineError('table-changed', drifts.map(({ reason }) => reason).join(' '), {
        hint: `Run: nanosync pipeline resnapshot ${name}`,
      });
  }

  /**
   * Tables without ranges get them, all behind one fence: what could have committed below their L0 is visible by then. Where other tables
   * are on their way already, that goes on beside them.
   */
  private async planTables(): Promise<boolean> {
    const { parts, pipeline } = this;
    if (this.beside.isBusy) return false;
    const planned = (await this.records()).filter(({ value }) => value.phase === 'planned');
    if (planned.length === 0) return false;
    const plan = async (parts: TablePlannerParts) => {
      const tables: Stored<TableRecord>[] = [];
      for (const stored of planned) tables.push(await renewEpoch({ ...parts, pipeline }, stored));
      await planRanges({ ...parts, pipeline, tables });
    };
    if (pipeline.phase === 'anchored') await whileMoving(parts.ctx, pipeline.definition.name, (ctx) => plan({ ...parts, ctx }));
    else this.beside.start((signal, waiting) => plan(this.partsBeside(signal, waiting)));
    return true;
  }

  /** Tables that came to the definition are taken in beside the others. */
  private startAdding(): void {
    const { pipeline } = this;
    if (tablesToAdd(pipeline).length === 0) this.unmet = undefined;
    else if (pipeline.intent.sink === 'paused')
      this.held = `Tables are added once the sink is resumed: nanosync pipeline resume ${pipeline.definition.name} --sink`;
    else if (pipeline.phase !== 'anchored' && !this.beside.isBusy && this.parts.ctx.clock.monotonicMs() >= this.addAgainMs)
      this.beside.start(async (signal, waiting) => {
        await addTables({ ...this.partsBeside(signal, waiting), pipeline }, (unmet) => this.tellUnmet(unmet));
        this.addAgainMs = this.parts.ctx.clock.monotonicMs() + ADD_AGAIN_MS;
      });
  }

  /** What keeps tables from being added is logged once for each time that it changes. */
  private tellUnmet(unmet: PipelineError | undefined): void {
    const text = unmet && describeError(unmet);
    if (text !== undefined && text !== (this.unmet && describeError(this.unmet)))
      this.parts.ctx.log.warn('tables cannot be added yet', { pipeline: this.pipeline.definition.name, err: text });
    this.unmet = unmet;
  }

  private partsBeside(signal: AbortSignal, waiting: TablePlannerParts['waiting']): TablePlannerParts {
    const { ctx } = this.parts;
    return { ...this.parts, ctx: { ...ctx, signal: AbortSignal.any([ctx.signal, signal]) }, waiting };
  }

  private async readTables(tables: readonly Stored<TableRecord>[]): Promise<boolean> {
    const open: { table: TableRecord; ledger: Ledger }[] = [];
    for (const stored of tables) {
      if (!isCopied(stored.value)) {
        if (stored.value.phase === 'snapshotting' && !stored.value.l1Requested) await this.settleStopped(stored);
        continue;
      }
      const ledger = await this.ledger(stored.value);
      await ledger.refresh();
      const voided = ledger.voided();
      if (voided !== undefined) {
        await voidPlan({ ...this.parts, pipeline: this.pipeline, stored, reason: voided });
        return true;
      }
      if (ledger.allRead && !stored.value.l1Requested) await this.marks.request(stored);
      open.push({ table: stored.value, ledger });
    }
    this.held = (await emitTasks({ ...this.parts, pipeline: this.pipeline, open })) ?? this.held;
    return open.length > 0; // While ranges are being read a free place is filled at once.
  }

  private async settleStopped(stored: Stored<TableRecord>): Promise<void> {
    const value = await this.stopped.settled(this.parts.ctx, this.pipeline.definition.name, stored);
    if (value !== undefined) await this.marks.request({ ...stored, value });
  }

  private async followSink(stored: Stored<TableRecord>): Promise<boolean> {
    const { name } = this.pipeline.definition;
    const { table, epoch, phase } = stored.value;
    if (phase !== 'snapshotting' && phase !== 'built') return false;
    const report = (await readRecord<SinkReport>(this.parts.ctx.state, stateKeys.sinkReport(name, table)))?.value;
    if (report === undefined || report.epoch !== epoch || !report.built) return false;
    if (phase === 'snapshotting') {
      // A built table has been read; what was read may be seen here before the ledger is seen to say so, and L1 must not be left out.
      if (stored.value.l1Requested) await this.move({ ...stored, value: asBuilt(name, stored.value, report) }, 'built');
      else if (isCopied(stored.value)) await this.marks.request(stored);
      else return false;
      return true;
    }
    const captured = (await captureOf(this.parts.ctx, name, this.pipeline))?.tables[table];
    const l1 = captured?.epoch === epoch ? captured.l1 : null;
    if (l1 === null) await this.marks.again(stored.value, captured?.epoch);
    if (l1 === null || report.watermark === null || !report.current || comparePositions(report.watermark, l1) < 0) return false;
    // By now the report is of what the sink itself says, and not of what its writer was about to build.
    await this.move({ ...stored, value: asBuilt(name, stored.value, report) }, 'caught-up');
    this.parts.ctx.log.info('table live', { table, l1 });
    return true;
  }

  private async move(stored: Stored<TableRecord>, event: TableEvent): Promise<void> {
    const phase = step(TABLE_MACHINE, stored.value.phase, event);
    const older = event === 'caught-up' ? null : stored.value.older; // Replaced by this one.
    const written = await this.parts.ctx.state.put(stored.key, { ...stored.value, phase, older }, stored.version);
    if (written === undefined) throw new PipelineError('conflict', `Another planner changed table ${stored.value.table} meanwhile.`);
    this.parts.ctx.log.debug('table moved', { table: stored.value.table, phase });
  }

  private records(): Promise<readonly Stored<TableRecord>[]> {
    return tableRecords(this.parts.ctx, this.pipeline);
  }

  private async ledger(table: TableRecord): Promise<Ledger> {
    let ledger = this.ledgers.get(table.epoch);
    if (ledger === undefined) {
      ledger = await Ledger.load(this.parts.ctx, this.pipeline.definition.name, table);
      this.ledgers.set(table.epoch, ledger);
    }
    return ledger;
  }
}

/** Its ranges are being read, and are to be. */
function isCopied({ phase, missing }: TableRecord): boolean {
  return phase === 'snapshotting' && missing === undefined;
}
