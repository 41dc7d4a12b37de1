import type { CaptureRecord, PipelineRecord, QueryRecord, Row, SinkReport, TableId, TableRecord, TroubleRecord } from '@nanosync/core';
import {
  comparePositions,
  followsChanges,
  leavingTables,
  listRecords,
  positionOf,
  readRecord,
  recordedTables,
  stateKeys,
} from '@nanosync/core';
import { adoptedRows, rowsAtSink } from './adopted.ts';
import type { Explanation } from './faults.ts';
import { EXPLANATIONS } from './faults.ts';
import { resultText } from './model/queries.ts';
import { Occurrences } from './occurrences.ts';
import type { Plan } from './plan.ts';
import { TABLES } from './plan.ts';
import { PIPELINE } from './state-oracle.ts';
import { Striker } from './striker.ts';
import { BODY, tableId, Workload } from './workload.ts';
import { World } from './world.ts';

/** Virtual time after which a system that is left alone must be right. */
const GIVE_UP_MS = 600_000;
/** The system must stay right for so long. */
const SETTLED_MS = 1200;
const LOOK_EVERY_MS = 50;
/** How long an operator takes to see that a pipeline has failed, and to run the command that it names. */
const OPERATOR_MS = 400;
/** More repairs than that are none; a few may be lost with the state store. */
const MOST_REPAIRS = 10;

/** What a run of a plan came to. */
export interface Outcome {
  /** What must not be, or an empty list. */
  readonly problems: readonly string[];
  /** Reasons for which the pipeline failed, truly. */
  readonly failures: readonly string[];
  readonly trace: readonly string[];
  readonly ms: number;
}

/** Runs the whole system under a plan until the sink equals the source and all is quiet, or says why it does not come to that. */
export async function runPlan(plan: Plan, occurrences = new Occurrences(), isTraced = false): Promise<Outcome> {
  const world = new World(plan, occurrences, isTraced);
  const workload = new Workload(world, plan, occurrences);
  workload.fill();
  await world.open();
  const striker = new Striker(world, occurrences);
  world.startAll();
  workload.start();
  striker.start(plan.faults);
  const run = new Run(world, workload, striker);
  const problem = await run.untilRight();
  world.supervisor.close();
  const problems = [...world.violations, ...(problem === null ? [] : [problem])];
  return { problems, failures: run.failures, trace: world.trace, ms: world.clock.monotonicMs() };
}

/** Moves one world on, looks after it as an operator does, and says when it is right. */
class Run {
  readonly failures: string[] = [];
  private readonly world: World;
  private readonly workload: Workload;
  private readonly striker: Striker;
  private rightSinceMs: number | undefined;
  private failedSinceMs: number | undefined;

  constructor(world: World, workload: Workload, striker: Striker) {
    this.world = world;
    this.workload = workload;
    this.striker = striker;
  }

  async untilRight(): Promise<string | null> {
    const { world } = this;
    for (let nextMs = 0; ; ) {
      if (!(await world.clock.step())) return 'nothing is to come any more';
      const nowMs = world.clock.monotonicMs();
      if (nowMs < nextMs) continue;
      nextMs = nowMs + LOOK_EVERY_MS;
      if (world.violations.length > 0) return null;
      if (nowMs > GIVE_UP_MS) return `not right after ${GIVE_UP_MS / 1000} s: ${await this.whyNot()}`;
      const verdict = await this.look(nowMs);
      if (verdict !== 'on') return verdict === 'right' ? null : verdict;
    }
  }

  private async look(nowMs: number): Promise<string> {
    const pipeline = await this.world.pipeline();
    const problem = await this.operate(pipeline, nowMs);
    if (problem !== null) return problem;
    const isRight = this.workload.isOver && this.striker.isOver && pipeline !== undefined && (await this.isRight(pipeline));
    if (!isRight) {
      this.rightSinceMs = undefined;
      return 'on';
    }
    this.rightSinceMs ??= nowMs;
    if (nowMs - this.rightSinceMs < SETTLED_MS) return 'on';
    for (const [table] of TABLES.entries())
      if (!this.world.file.includes(table) && !this.world.isAsLeft(tableId(table)))
        return `${tableId(table)} was taken out, and its rows are not what they were then`;
    const { orphans } = this.workload;
    const [counted, quarantined] = [await this.miscounted(), this.world.quarantined()];
    if (counted !== orphans) return `${counted} rows were quarantined or counted as defects, not ${orphans}`;
    return quarantined >= orphans ? 'right' : `${quarantined} of ${orphans} quarantined changes are on their topic`;
  }

  /** Runs the command that a failed pipeline names, and applies the file again where the store has lost it. */
  private async operate(pipeline: PipelineRecord | undefined, nowMs: number): Promise<string | null> {
    if (pipeline !== undefined && this.striker.isOver) await this.resume(pipeline);
    if (pipeline === undefined && this.wasDeleted) {
      await this.world.apply();
      return null;
    }
    if (pipeline !== undefined && pipeline.intent.deletion !== null) return null;
    const hasFailed = pipeline === undefined || (pipeline.phase === 'failed' && pipeline.request === null);
    const told = (await readRecord<TroubleRecord>(this.world.state(), stateKeys.trouble(PIPELINE, 'planner')))?.value.reason;
    if (`${pipeline?.waiting} ${told}`.includes('nanosync did not make it')) this.world.renameForeign();
    if (!hasFailed && this.hasLostCopy(pipeline)) {
      if (!this.striker.struck.some(({ kind }) => kind === 'warehouse lost')) return 'a table of a completed pipeline is gone';
      await this.world.requestResnapshot();
      return null;
    }
    if (!hasFailed) {
      this.failedSinceMs = undefined;
      const { source, replicationType } = pipeline.definition;
      const isApplied =
        source.tables.join() === this.world.file.map(tableId).join() &&
        replicationType === this.world.type &&
        this.world.areColumnsOf(pipeline);
      if (!isApplied) await this.world.apply();
      return null;
    }
    this.failedSinceMs ??= nowMs;
    if (nowMs - this.failedSinceMs < OPERATOR_MS) return null;
    this.failedSinceMs = undefined;
    const reason = pipeline === undefined ? 'The state store does not know the pipeline.' : (pipeline.failure?.reason ?? 'no reason');
    this.failures.push(reason);
    this.world.say('OPERATOR', reason);
    const untrue = this.untrue(reason);
    if (untrue !== null) return untrue;
    if (this.failures.length > MOST_REPAIRS) return `not repaired by ${MOST_REPAIRS} repairs: ${this.failures.join(' | ')}`;
    if (pipeline !== undefined && pipeline.failure?.cure !== `Run: nanosync pipeline resnapshot ${PIPELINE}`)
      return `a failure names no cure that is known: ${pipeline.failure?.cure}`;
    // First the file is applied again: where nothing is left of the pipeline elsewhere, that is all; otherwise it says so.
    if (pipeline === undefined) await this.world.apply();
    else await this.world.requestResnapshot();
    return null;
  }

  /** A store that lost its newest writes may have lost that it was resumed. */
  private async resume({ intent }: PipelineRecord): Promise<void> {
    if (intent.deletion !== null) return;
    if (intent.run === 'paused') await this.world.ask({ kind: 'resume', part: 'pipeline' });
    if (intent.sink === 'paused') await this.world.ask({ kind: 'resume', part: 'sink' });
  }

  /** Nobody works on a completed pipeline any more: only an operator sees that the warehouse is another one. */
  private hasLostCopy(pipeline: PipelineRecord): boolean {
    if (pipeline.phase !== 'completed' || pipeline.request !== null) return false;
    return recordedTables(pipeline).some((table) => this.world.read(table as TableId) === undefined);
  }

  private get wasDeleted(): boolean {
    return this.striker.struck.some(({ kind }) => kind === 'pipeline deleted');
  }

  /** A pipeline may have failed only for something that has happened. */
  private untrue(reason: string): string | null {
    const happened = new Set<string>(this.striker.struck.map(({ kind }) => kind));
    if (this.failures.length > 1) happened.add('repaired');
    const isTrue = ({ fault, after, reasons }: Explanation) =>
      happened.has(fault) && (after?.some((kind) => happened.has(kind)) ?? true) && reasons.some((pattern) => pattern.test(reason));
    return EXPLANATIONS.some(isTrue) ? null : `the pipeline has failed for no reason that is true: ${reason}`;
  }

  private async isRight(pipeline: PipelineRecord): Promise<boolean> {
    if (pipeline.request !== null || pipeline.intent.copyAnew.length > 0 || leavingTables(pipeline).length > 0) return false;
    if (pipeline.definition.query !== undefined) return pipeline.phase === 'scheduled' && (await this.isQueried());
    if (pipeline.copyStopped === true || pipeline.definition.replicationType !== this.world.type) return false;
    if (!followsChanges(pipeline.definition)) return pipeline.phase === 'completed' && (await this.isCopied(pipeline));
    if (pipeline.phase !== 'streaming') return false;
    const tables = await listRecords<{ v: 1; phase: string }>(this.world.state(), stateKeys.tables(PIPELINE));
    if (tables.length < pipeline.definition.source.tables.length || tables.some(({ value }) => value.phase !== 'following')) return false;
    for (const table of pipeline.definition.source.tables as readonly TableId[])
      if (this.differences(table, await this.wanted(table)).length > 0 || (await this.isBehind(table))) return false;
    return true;
  }

  /** What a table must be at the sink: the source, or what was there before with all changes since. */
  private async wanted(table: TableId): Promise<readonly Row[]> {
    const { db } = this.world;
    const record = (await readRecord<TableRecord>(this.world.state(), stateKeys.table(PIPELINE, table)))?.value;
    const captured = (await readRecord<CaptureRecord>(this.world.state(), stateKeys.capture(PIPELINE)))?.value.tables[table];
    const l0 = record?.l0 ?? captured?.l0;
    if (record?.missing !== undefined && l0 !== undefined) return this.world.stopped.wanted(record, l0, this.world.read(table) ?? []);
    if (record?.adopts !== true || l0 === undefined) return db.rowsOf(table);
    if (this.world.plan.replicationType !== 'cdc') return adoptedRows(db, table, l0, this.world.beganWith(record.epoch) ?? []);
    // Where nobody took them away or used them before, the rows are those of the beginning.
    const others = ['warehouse lost', 'table taken out', 'type switched', 'copy stopped'];
    const isOther = this.world.hasRenamed || this.wasDeleted || this.striker.struck.some(({ kind }) => others.includes(kind));
    return adoptedRows(db, table, l0, (isOther && this.world.beganWith(record.epoch)) || rowsAtSink());
  }

  /** The last run went well, and the table has what the source has. Rows that were deleted since stay where they are written by key. */
  private async isQueried(): Promise<boolean> {
    const runs = (await readRecord<QueryRecord>(this.world.state(), stateKeys.query(PIPELINE)))?.value;
    if (runs?.last?.failure !== null) return false;
    const table = tableId(0);
    const rows = this.world.db.rowsOf(table);
    if (this.world.plan.isMerged !== true) return this.differences(table, rows).length === 0;
    const known = new Set(rows.map(([id]) => String(id)));
    const seen = this.world.read(table)?.filter(([id]) => known.has(String(id))) ?? [];
    return resultText(seen) === resultText(rows);
  }

  /** Each table is at the sink what the source was at the one moment that all of its ranges were read of. */
  private async isCopied(pipeline: PipelineRecord): Promise<boolean> {
    for (const table of pipeline.definition.source.tables as readonly TableId[]) {
      const record = (await readRecord<TableRecord>(this.world.state(), stateKeys.table(PIPELINE, table)))?.value;
      const wanted = this.world.db.views.rowsOf(record?.view ?? '', table);
      if (record?.phase !== 'built' || wanted === undefined || this.differences(table, wanted).length > 0) return false;
    }
    return true;
  }

  /** The table's watermark at the sink has not passed its last commit. */
  private async isBehind(table: TableId): Promise<boolean> {
    const report = await readRecord<SinkReport>(this.world.state(), stateKeys.sinkReport(PIPELINE, table));
    const last = this.world.db.log.findLast(({ writes }) => writes.some((write) => write.table === table));
    const watermark = report?.value.watermark ?? null;
    return last !== undefined && (watermark === null || comparePositions(watermark, positionOf(last.lsn, 0n)) <= 0);
  }

  private differences(table: TableId, rows: readonly Row[] = this.world.db.rowsOf(table)): readonly string[] {
    const text = (row: readonly unknown[]) => row.map((cell) => String(cell).slice(0, 60)).join('|');
    const wanted = rows.map((row) => text(this.world.keptBack.has(table) ? row.slice(0, BODY) : row));
    const found = this.world.read(table)?.map(text) ?? ['no such table'];
    const [has, shall] = [new Set(found), new Set(wanted)];
    return [
      ...wanted.filter((row) => !has.has(row)).map((row) => `${table} lacks ${row}`),
      ...found.filter((row) => !shall.has(row)).map((row) => `${table} has ${row}`),
    ];
  }

  private async miscounted(): Promise<number> {
    const reports = await listRecords<SinkReport>(this.world.state(), stateKeys.sinkReports(PIPELINE));
    return reports.reduce((sum, { value }) => sum + value.quarantined + value.defects, 0);
  }

  private async whyNot(): Promise<string> {
    const pipeline = await this.world.pipeline();
    const tables = await listRecords<{ v: 1; phase: string }>(this.world.state(), stateKeys.tables(PIPELINE));
    const differences = TABLES.flatMap((_, table) => this.differences(tableId(table)));
    return JSON.stringify({
      workload: this.workload.isOver,
      faults: this.striker.isOver,
      phase: pipeline?.phase,
      request: pipeline?.request,
      copyAnew: pipeline?.intent.copyAnew,
      leaving: pipeline?.leaving,
      waiting: pipeline?.waiting,
      failure: pipeline?.failure?.reason,
      tables: tables.map(({ value }) => value.phase),
      differences: differences.slice(0, 5),
    });
  }
}
