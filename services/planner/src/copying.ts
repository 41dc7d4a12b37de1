import type { PipelineRecord, SinkReport, SourceView, Stored, TableRecord } from '@nanosync/core';
import { describeError, PipelineError, readRecord, stateKeys, step, TABLE_MACHINE, tablesToAdd } from '@nanosync/core';
import { addTables } from './adding.ts';
import { Ledger } from './ledger.ts';
import { renewEpoch, storeRanges, voidPlan } from './ranges.ts';
import type { TablePlannerParts, TablesProgress } from './table-planner.ts';
import { tableRecords } from './table-records.ts';
import { emitTasks } from './tasks.ts';

/** How often it is asked whether the source still holds the view, in milliseconds. */
const CHECK_EVERY_MS = 5000;
/** How long after a try a table that could not be added is tried again, in milliseconds. */
const ADD_AGAIN_MS = 2000;

interface CopiedTable {
  readonly stored: Stored<TableRecord>;
  readonly ledger: Ledger;
}

/**
 * Moves the tables of a pipeline that copies once and follows nothing. No change repairs a row that moves between two reads, so all ranges are
 * read in one view of the source, which this planner holds. When it is lost, tables of which ranges are still to be read begin again under
 * another epoch in another view; what was read to its end stays as it is, of an earlier moment.
 */
export class CopyPlanner implements AsyncDisposable {
  private readonly parts: TablePlannerParts;
  private pipeline: PipelineRecord;
  private readonly ledgers = new Map<string, Ledger>();
  private view: SourceView | undefined;
  private checkAtMs = 0;
  private addAgainMs = 0;
  private unmet: PipelineError | undefined;

  constructor(parts: TablePlannerParts, pipeline: PipelineRecord) {
    this.parts = parts;
    this.pipeline = pipeline;
  }

  /** The anchor whose tables these are. */
  get anchor(): string | undefined {
    return this.pipeline.anchor?.id;
  }

  /** The line a user sees when an interrupted pipeline goes on. */
  async logResuming(): Promise<void> {
    if (this.pipeline.phase !== 'anchored') this.parts.ctx.log.info('pipeline resuming', { name: this.pipeline.definition.name });
  }

  /** One round, with the pipeline as it is stored now. */
  async step(pipeline: PipelineRecord): Promise<TablesProgress> {
    this.pipeline = pipeline;
    await this.add();
    let busy = await this.read();
    for (const stored of await this.records()) busy = (await this.followSink(stored)) || busy;
    const phases = (await this.records()).map(({ value }) => value.phase);
    return {
      busy,
      planned: phases.every((phase) => phase !== 'planned'),
      allBuilt: phases.length === pipeline.definition.source.tables.length && phases.every((phase) => phase === 'built'),
      unmet: this.unmet,
    };
  }

  /** The source is let go: nothing is read in this view any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { view } = this;
    this.view = undefined;
    await view?.[Symbol.asyncDispose]();
  }

  private async add(): Promise<void> {
    const { parts, pipeline } = this;
    if (tablesToAdd(pipeline).length === 0) this.unmet = undefined;
    else if (parts.ctx.clock.monotonicMs() >= this.addAgainMs) {
      await addTables({ ...parts, pipeline }, (unmet) => {
        this.unmet = unmet;
      });
      this.addAgainMs = parts.ctx.clock.monotonicMs() + ADD_AGAIN_MS;
    }
  }

  private async read(): Promise<boolean> {
    const open: CopiedTable[] = [];
    for (const stored of await this.records()) {
      if (stored.value.phase !== 'snapshotting') continue;
      const ledger = await this.ledger(stored.value);
      await ledger.refresh();
      open.push({ stored, ledger });
    }
    const unread = open.filter(({ ledger }) => !ledger.allRead || ledger.voided() !== undefined);
    const lost = unread.length === 0 ? undefined : await this.lost(unread);
    if (lost !== undefined) {
      await this.beginAgain(unread, lost);
      return true;
    }
    // Only now: rows that were planned later would be of another moment than the view.
    if (unread.length === 0 && (await this.plan())) return true;
    const held = await emitTasks({
      ...this.parts,
      pipeline: this.pipeline,
      open: open.map(({ stored, ledger }) => ({ table: stored.value, ledger })),
    });
    if (held !== null) await this.parts.waiting(held);
    return open.length > 0;
  }

  /** Why what is unread cannot be read in this planner's view, or undefined. */
  private async lost(unread: readonly CopiedTable[]): Promise<string | undefined> {
    const { view } = this;
    const { clock } = this.parts.ctx;
    // Invariant 'cover': ranges of two moments do not cover a table whose rows move.
    if (view === undefined || unread.some(({ stored }) => stored.value.view !== view.id)) return 'the planner that held it has ended';
    const voided = unread.map(({ ledger }) => ledger.voided()).find((reason) => reason !== undefined);
    if (voided !== undefined || clock.monotonicMs() < this.checkAtMs) return voided;
    this.checkAtMs = clock.monotonicMs() + CHECK_EVERY_MS;
    try {
      await view.check();
      return undefined;
    } catch (error) {
      return describeError(error);
    }
  }

  private async beginAgain(unread: readonly CopiedTable[], reason: string): Promise<void> {
    const { log } = this.parts.ctx;
    await this[Symbol.asyncDispose]();
    log.warn('view of the source lost, its unread tables begin again', {
      pipeline: this.pipeline.definition.name,
      tables: unread.map(({ stored }) => stored.value.table).join(', '),
      reason,
    });
    for (const { stored, ledger } of unread) {
      const voids = stored.value.voids + (ledger.voided() === undefined ? 0 : 1);
      await voidPlan({ ...this.parts, pipeline: this.pipeline, stored, reason, voids });
    }
  }

  /** Gives all `planned` tables their ranges in one new view. Their storage was asked for before it: a later file is refused when it is read. */
  private async plan(): Promise<boolean> {
    const { parts, pipeline } = this;
    const planned = (await this.records()).filter(({ value }) => value.phase === 'planned');
    await this[Symbol.asyncDispose](); // All is read that was to be read in it: the source keeps nothing for it any more.
    if (planned.length === 0) return false;
    const tables: Stored<TableRecord>[] = [];
    for (const stored of planned) tables.push(await renewEpoch({ ...parts, pipeline }, stored));
    const view = await parts.source.openView();
    this.view = view;
    this.checkAtMs = parts.ctx.clock.monotonicMs() + CHECK_EVERY_MS;
    parts.ctx.log.info('view of the source opened', { pipeline: pipeline.definition.name, tables: tables.length, position: view.position });
    for (const stored of tables) {
      parts.fresh.delete(stored.value.epoch);
      await storeRanges({ ...parts, pipeline }, { ...stored, value: { ...stored.value, view: view.id, l0: view.position } });
    }
    return true;
  }

  private async followSink(stored: Stored<TableRecord>): Promise<boolean> {
    const { table, epoch, phase } = stored.value;
    if (phase !== 'snapshotting') return false;
    const report = await readRecord<SinkReport>(this.parts.ctx.state, stateKeys.sinkReport(this.pipeline.definition.name, table));
    if (report?.value.epoch !== epoch || !report.value.built) return false;
    const value = { ...stored.value, phase: step(TABLE_MACHINE, phase, 'built') };
    if ((await this.parts.ctx.state.put(stored.key, value, stored.version)) === undefined)
      throw new PipelineError('conflict', `Another planner changed table ${table} meanwhile.`);
    this.parts.ctx.log.info('table copied', { table, rows: report.value.rowsBuilt });
    return true;
  }

  private records(): Promise<readonly Stored<TableRecord>[]> {
    return tableRecords(this.parts.ctx, this.pipeline);
  }

  private async ledger(table: TableRecord): Promise<Ledger> {
    const ledger = this.ledgers.get(table.epoch) ?? (await Ledger.load(this.parts.ctx, this.pipeline.definition.name, table));
    this.ledgers.set(table.epoch, ledger);
    return ledger;
  }
}
