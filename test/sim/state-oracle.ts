import type {
  CaptureRecord,
  GenerationId,
  PartitionRecord,
  PipelineIntent,
  PipelineRecord,
  Position,
  SinkReport,
  TableId,
  TableRecord,
} from '@nanosync/core';
import { comparePositions, stateKeys } from '@nanosync/core';
import type { Occurrences } from './occurrences.ts';

/** The pipeline of a simulation. */
export const PIPELINE = 'sim';

/** Who reports has begun again by then. */
const EXCUSED_MS = 40_000;

/** Watches what is written into the state store: steps of the state machines, and what never moves or never goes back. */
export class StateOracle {
  /** Told of each partition that is called durable. */
  durable: (generation: GenerationId, partition: number) => void = () => {};
  /** Told of each anchor that is stored, and whether somebody had asked for it. */
  anchored: (id: string, isAsked: boolean) => void = () => {};
  /** Told of what is wanted of the pipeline. */
  wanted: (intent: PipelineIntent | undefined) => void = () => {};
  /** Told when the pipeline is deleted, last of all that there is of it. */
  deleted: (dropTables: boolean) => void = () => {};
  /** Told of each record of a table whose copy was stopped. */
  stopped: (record: TableRecord) => void = () => {};
  /** Told when nothing is left of a table that was taken out. */
  left: (table: TableId) => void = () => {};
  /** Who waits for the pipeline to be stored in a phase. */
  phaseWaits: { readonly phase: string; readonly come: () => void }[] = [];
  private readonly occurrences: Occurrences;
  private readonly violated: (what: string) => void;
  private readonly anchors = new Map<string, Position>();
  private readonly epochs = new Map<string, Position>();
  private readonly tables = new Map<TableId, string>();
  private readonly olders = new Map<TableId, string | undefined>();
  /** The epochs of each table under each anchor, and the anchor of each slot. */
  private readonly epochsUnder = new Map<string, readonly string[]>();
  private readonly slots = new Map<string, string>();
  private readonly excused = new Map<string, number>();
  private readonly seenEpochs = new Set<string>();
  private readonly nowMs: () => number;
  private readonly watermarks = new Map<string, Position>();
  /** Where tables that are taken out end, by anchor and table, and by epoch. */
  private readonly ends = new Map<string, Position>();
  private readonly columns = new Map<TableId, number>();
  private readonly endsOfEpochs = new Map<string, Position>();

  constructor(parts: { readonly occurrences: Occurrences; readonly nowMs: () => number; readonly violated: (what: string) => void }) {
    this.occurrences = parts.occurrences;
    this.nowMs = parts.nowMs;
    this.violated = parts.violated;
  }

  /** L0 of an epoch as the planner has stored it. */
  l0Of(epoch: string): Position | undefined {
    return this.epochs.get(epoch);
  }

  /** The epoch that goes on beside the one that a table was last seen to have. */
  olderOf(table: TableId): string | undefined {
    return this.olders.get(table);
  }

  /** The epoch that a table was last seen to have. */
  epochOf(table: TableId): string | undefined {
    return this.tables.get(table);
  }

  /** The epoch that a table was last seen to have under the anchor of a slot, the one that goes on beside it, and those in between. */
  epochsOf(slot: string, table: TableId): readonly string[] {
    return this.epochsUnder.get(`${this.slots.get(slot)} ${table}`) ?? [];
  }

  /** How many columns a table was last seen to have. */
  columnsOf(table: TableId): number {
    return this.columns.get(table) ?? 0;
  }

  /** Where an epoch ends whose table is being taken out. */
  endOf(epoch: string): Position | undefined {
    return this.endsOfEpochs.get(epoch);
  }

  /** All epochs that tables were ever seen to have. */
  knownEpochs(): Iterable<string> {
    return this.seenEpochs;
  }

  /** The store, or the warehouse that it tells of, went back: what is for display may be seen to do so once, until its writers have begun again. */
  mayGoBack(): void {
    for (const epoch of this.watermarks.keys()) this.excused.set(epoch, this.nowMs() + EXCUSED_MS);
  }

  written(key: string, json: string | undefined, before: string | undefined): void {
    if (key === stateKeys.pipeline(PIPELINE)) this.wanted(json === undefined ? undefined : (JSON.parse(json) as PipelineRecord).intent);
    if (json === undefined) {
      const deletion =
        key === stateKeys.pipeline(PIPELINE) && before !== undefined && (JSON.parse(before) as PipelineRecord).intent.deletion;
      if (deletion) this.deleted(deletion.dropTables);
      return;
    }
    if (key === stateKeys.pipeline(PIPELINE)) this.pipeline(JSON.parse(json), before === undefined ? undefined : JSON.parse(before));
    else if (key.startsWith(stateKeys.tables(PIPELINE)))
      this.table(JSON.parse(json), before === undefined ? undefined : JSON.parse(before));
    else if (key.startsWith(stateKeys.partitionsOf(PIPELINE)))
      this.partition(key, JSON.parse(json), before === undefined ? undefined : JSON.parse(before));
    else if (key === stateKeys.capture(PIPELINE)) this.capture(JSON.parse(json));
    else if (key.startsWith(stateKeys.sinkReports(PIPELINE))) this.report(JSON.parse(json));
  }

  private moved(machine: string, phase: string, before: string | undefined): void {
    if (before !== undefined && before !== phase) this.occurrences.count('transition', `${machine} ${before} -> ${phase}`);
  }

  private pipeline(record: PipelineRecord, before: PipelineRecord | undefined): void {
    this.moved('pipeline', record.phase, before?.phase);
    for (const table of before?.leaving ?? []) if (!record.leaving?.includes(table)) this.left(table as TableId);
    const due = this.phaseWaits.filter(({ phase }) => phase === record.phase);
    this.phaseWaits = this.phaseWaits.filter(({ phase }) => phase !== record.phase);
    for (const { come } of due) come();
    if (record.anchor !== null && !this.anchors.has(record.anchor.id)) this.anchored(record.anchor.id, (before?.request ?? null) !== null);
    if (record.anchor !== null) this.slots.set(record.anchor.origin.slot ?? '', record.anchor.id);
    if (record.anchor !== null) this.fixed(this.anchors, `anchor ${record.anchor.id}`, record.anchor.id, record.anchor.l0);
  }

  private capture({ anchor, left = {} }: CaptureRecord): void {
    for (const [table, end] of Object.entries(left)) {
      const stay = `${anchor} ${table}`;
      if (this.ends.get(stay) === end) continue; // Of an earlier stay, or known.
      this.ends.set(stay, end);
      for (const epoch of this.epochsUnder.get(stay) ?? []) this.endsOfEpochs.set(epoch, end);
    }
  }

  private table(record: TableRecord, was: TableRecord | undefined): void {
    this.tables.set(record.table, record.epoch);
    this.olders.set(record.table, record.older?.epoch);
    this.seenEpochs.add(record.epoch);
    this.columns.set(record.table, record.schema.columns.length);
    const under = `${record.anchor} ${record.table}`;
    const before = record.older === null ? [] : [...(this.epochsUnder.get(under) ?? []), record.older.epoch];
    this.epochsUnder.set(under, [...new Set([...before, record.epoch])]);
    this.moved('table', record.phase, was?.phase);
    if (record.missing !== undefined) this.stopped(record);
    if (record.missing !== undefined && was?.missing === undefined) this.occurrences.count('transition', 'table copy stopped');
    if (was !== undefined && was.epoch !== record.epoch) {
      const isCopy = record.older !== null && was.older === null;
      const why =
        was.anchor !== record.anchor ? 'anchored anew' : isCopy ? 'copied anew' : was.voids < record.voids ? 'plan void' : 'epoch renewed';
      this.occurrences.count('transition', `table ${why}`);
    }
    if (record.l0 !== null) this.fixed(this.epochs, `epoch ${record.epoch} of ${record.table}`, record.epoch, record.l0);
  }

  private partition(key: string, { phase, partition }: PartitionRecord, before: PartitionRecord | undefined): void {
    this.moved('partition', phase, before?.phase);
    if (phase !== 'durable' || before?.phase === 'durable') return;
    const [, , table = '', epoch = ''] = key.split('/').map(decodeURIComponent);
    this.durable({ pipeline: PIPELINE, table: table as TableId, epoch }, partition);
  }

  private fixed(known: Map<string, Position>, what: string, id: string, l0: Position): void {
    const before = known.get(id);
    if (before !== undefined && before !== l0) this.violated(`L0 of ${what} moved`);
    known.set(id, l0);
  }

  private report(report: SinkReport): void {
    this.reported(report);
    if (report.older !== null) this.reported(report.older);
  }

  private reported({ epoch, watermark }: Pick<SinkReport, 'epoch' | 'watermark'>): void {
    if (watermark === null) return;
    const before = this.watermarks.get(epoch);
    const untilMs = this.excused.get(epoch) ?? 0;
    if (before !== undefined && comparePositions(watermark, before) < 0 && (!this.excused.delete(epoch) || this.nowMs() > untilMs))
      this.violated(`the watermark of epoch ${epoch} went back`);
    this.watermarks.set(epoch, watermark);
  }
}
