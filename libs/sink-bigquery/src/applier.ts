import type { Applied, ApplyRequest, BusProgress, GenerationId, KeyChanges, Position, Quarantine, TableSchema } from '@nanosync/core';
import {
  aboveBases,
  checkMoves,
  comparePositions,
  fold,
  inBatchOrder,
  laterPosition,
  PipelineError,
  parsePosition,
  rowSchemaJson,
  withoutBase,
} from '@nanosync/core';
import { avroFile } from './avro-file.ts';
import { changeAvro, changeBlocks, changeFields } from './change-file.ts';
import { POSITION_COLUMN } from './column-types.ts';
import type { ProgressRow } from './epochs.ts';
import { epochState, notThere, readProgress } from './epochs.ts';
import { GoogleError, raisedBy } from './google-error.ts';
import { requireSuccess } from './jobs.ts';
import { notHeld } from './limits.ts';
import { basesSql, mergeSql } from './merge-sql.ts';
import { changesName, physicalName, progressName } from './names.ts';
import { int, moveRow, text, transaction } from './sql.ts';
import { loadAvro } from './upload.ts';
import type { Warehouse } from './warehouse.ts';

/** A staging table of changes that nobody dropped goes by itself. */
const STAGING_LIFE_MS = 24 * 3_600_000;

/** The state of a generation as the last step left it. */
interface Known {
  readonly rowSchema: string;
  readonly progress: ProgressRow;
}

/** A batch that is staged and looked at: ready to be written. */
interface Ready {
  readonly staging: string | undefined;
  readonly keys: readonly KeyChanges[];
  readonly quarantined: readonly Quarantine[];
  readonly defects: number;
}

/** Applies changes to one generation. What it remembers of the warehouse is thrown away whenever a step fails. */
export class Applier {
  private readonly warehouse: Warehouse;
  private readonly id: GenerationId;
  /** Runs what may fail without harm, beside other work. */
  private readonly aside: (work: Promise<void>) => void;
  private known: Known | undefined;

  constructor(warehouse: Warehouse, id: GenerationId, aside: (work: Promise<void>) => void) {
    this.warehouse = warehouse;
    this.id = id;
    this.aside = aside;
  }

  /** Forgets what it knows: a claim changed it. */
  forget(): void {
    this.known = undefined;
  }

  /** Applies a batch; see the port. */
  async apply(request: ApplyRequest): Promise<Applied> {
    try {
      return await this.attempt(request);
    } catch (error) {
      this.forget();
      if (raisedBy(error) === 'overtaken') throw this.lost();
      if (error instanceof GoogleError && error.isNotFound) await this.requireTable(error);
      throw error;
    }
  }

  private async attempt(request: ApplyRequest): Promise<Applied> {
    checkMoves(request);
    const { rowSchema, progress } = await this.require(request);
    if (rowSchema !== rowSchemaJson(request.schema))
      throw new PipelineError('table-changed', `changes of ${this.id.table} have other columns than its generation at the sink.`, {
        hint: `Take the table anew: nanosync pipeline resnapshot ${this.id.pipeline}`,
      });
    const parts = movedParts(progress.parts, request);
    const floor = parts.reduce<Position | null>(
      (high, part) => (part.floor === null ? high : laterPosition(high ?? undefined, part.floor)),
      null,
    );
    const truncates = request.changes.some(({ event }) => event.op === 't');
    const folded = fold(request.schema, request.changes, floor, notHeld);
    const reached = progress.parts.map(({ last }) => last).reduce((high, last) => laterPosition(high, last));
    // No row has a position above what was reached before this batch: where all of it is above, the guard need not look.
    const careful = request.changes.some(({ event }) => comparePositions(event.position, reached) <= 0);
    const ready = await this.stage(request.schema, folded.keys, { careful, floor: truncates ? floor : null });
    const quarantined = inBatchOrder(request.changes, [...folded.quarantined, ...ready.quarantined]);
    const defects = folded.defects + ready.defects;
    const applied = request.changes.length - quarantined.length - defects;
    const next: ProgressRow = {
      owner: progress.owner,
      revision: progress.revision + 1,
      parts,
      changesApplied: progress.changesApplied + applied,
      quarantined: progress.quarantined + quarantined.length,
      defects: progress.defects + defects,
    };
    const script = applyScript(this.warehouse, this.id, request.schema, {
      before: progress,
      next,
      floor: truncates ? floor : null,
      ...ready,
    });
    const jobs = await this.warehouse.jobs();
    await jobs.change('apply', script);
    this.known = { rowSchema, progress: next };
    if (ready.staging !== undefined) this.aside(this.warehouse.drop(ready.staging));
    return { applied, quarantined, defects };
  }

  /** The generation as the request wants it: ours, at exactly these offsets. */
  private async require(request: ApplyRequest): Promise<Known> {
    const fits = ({ progress }: Known) =>
      progress.owner === request.owner && request.moves.every((move) => progress.parts[move.busPartition]?.next === move.from);
    if (this.known !== undefined && fits(this.known)) return this.known;
    const epoch = await epochState(this.warehouse, this.id);
    const progress = epoch.state === 'built' ? await readProgress(this.warehouse, this.id) : undefined;
    if (epoch.state !== 'built' || progress === undefined) throw notThere(this.id);
    const known = { rowSchema: epoch.rowSchema, progress };
    if (!fits(known)) throw this.lost();
    return known;
  }

  /** Something was not found: tells a generation that was given up from one that somebody dropped. */
  private async requireTable(cause: GoogleError): Promise<void> {
    if ((await epochState(this.warehouse, this.id)).state !== 'built') throw notThere(this.id);
    if ((await this.warehouse.describe(physicalName(this.id))) !== undefined) return;
    throw new PipelineError('gap', `the table ${physicalName(this.id)}, which holds ${this.id.table}, was dropped from BigQuery.`, {
      hint: `Take the table anew: nanosync pipeline resnapshot ${this.id.pipeline}`,
      cause,
    });
  }

  private lost(): PipelineError {
    return new PipelineError('conflict', `another writer has ${this.id.table} of pipeline ${this.id.pipeline}.`, {
      hint: 'This one stops; nothing was changed.',
    });
  }

  /**
   * Stages the outcomes and looks once at the rows they meet, where that is needed. Nobody else changes the table between this look and the
   * transaction, or the transaction finds the progress moved.
   */
  private async stage(
    schema: TableSchema,
    all: readonly KeyChanges[],
    look: { readonly careful: boolean; readonly floor: Position | null },
  ): Promise<Ready> {
    let keys = all;
    let defects = 0;
    for (;;) {
      if (keys.length === 0) return { staging: undefined, keys, quarantined: [], defects };
      const staging = await this.load(schema, keys);
      if (!look.careful && keys.every(({ outcome }) => outcome.needBase.length === 0 && outcome.orphans.length === 0))
        return { staging, keys, quarantined: [], defects };
      const jobs = await this.warehouse.jobs();
      const { warehouse } = this;
      const [target, table] = [warehouse.table(physicalName(this.id)), warehouse.table(staging)];
      const rows = await jobs.query(basesSql({ target, staging: table, schema, keys, bounded: warehouse.bounded }, look));
      const bases = new Map(rows.map((row) => [Number(row.ordinal), parsePosition(String(row.position))]));
      const guarded = aboveBases(keys, bases);
      if (guarded === undefined) return { staging, keys, quarantined: withoutBase(keys, bases), defects };
      // A position that was there already: never happens in a sound stream, so the batch is simply made again without it.
      this.aside(this.warehouse.drop(staging));
      defects += guarded.defects;
      keys = guarded.keys;
    }
  }

  /** Loads the outcomes into a staging table of their own name: the quota of load jobs is one of each table. */
  private async load(schema: TableSchema, keys: readonly KeyChanges[]): Promise<string> {
    const unique = this.warehouse.api.options.ids.next();
    const staging = changesName(this.id, unique);
    const description = `A batch of changes of ${this.id.table}, until it is written.`;
    await this.warehouse.create(staging, changeFields(schema), { description, expiresInMs: STAGING_LIFE_MS });
    const job = `nanosync_changes_${unique}`;
    const pieces = avroFile(changeAvro(schema), 'null', changeBlocks(schema, keys), job);
    requireSuccess(await loadAvro(await this.warehouse.jobs(), { id: job, table: staging, pieces }));
    return staging;
  }
}

/** A batch as one transaction: from exactly the progress it was read at, or not at all. */
export function applyScript(
  warehouse: Pick<Warehouse, 'table' | 'bounded'>,
  id: GenerationId,
  schema: TableSchema,
  batch: Pick<Ready, 'staging' | 'keys'> & { readonly before: ProgressRow; readonly next: ProgressRow; readonly floor: Position | null },
): string {
  const { before, next, floor, staging, keys } = batch;
  const progress = warehouse.table(progressName(id));
  const target = warehouse.table(physicalName(id));
  const counters = [
    `changes_applied = ${int(next.changesApplied)}`,
    `quarantined = ${int(next.quarantined)}`,
    `defects = ${int(next.defects)}`,
  ];
  return transaction([
    // Invariant 'progress-in-the-sink': the first statement; it fails for a batch that was read at other offsets.
    ...moveRow(progress, before, [`parts = ${text(JSON.stringify(next.parts))}`, ...counters]),
    ...(floor === null ? [] : [`DELETE FROM ${target} WHERE ${POSITION_COLUMN} < ${text(floor)}`]),
    ...(staging === undefined ? [] : [mergeSql({ target, staging: warehouse.table(staging), schema, keys, bounded: warehouse.bounded })]),
  ]);
}

/** The progress after the batch; floors and positions only rise. */
function movedParts(before: readonly BusProgress[], { moves, changes }: ApplyRequest): readonly BusProgress[] {
  const parts = [...before];
  for (const move of moves) {
    const part = parts[move.busPartition];
    if (part === undefined) throw new PipelineError('defect', `there is no progress for bus partition ${move.busPartition}.`);
    let floor = part.floor;
    const rise = (to: Position | null) => {
      if (to !== null) floor = laterPosition(floor ?? undefined, to);
    };
    rise(move.floor);
    for (const { busPartition, event } of changes) if (event.op === 't' && busPartition === move.busPartition) rise(event.position);
    parts[move.busPartition] = { ...part, next: move.to, session: move.session, last: laterPosition(part.last, move.last), floor };
  }
  return parts;
}
