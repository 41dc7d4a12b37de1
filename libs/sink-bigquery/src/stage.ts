import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import type { EndMarker, GenerationId, RowBatch, StageRequest, TableId, TableSchema } from '@nanosync/core';
import { PipelineError, rowSchemaJson } from '@nanosync/core';
import type { AvroBlock } from './avro-file.ts';
import { avroFile, stagingAvro } from './avro-file.ts';
import { ATTEMPT_COLUMN, columnProblem, PARTITION_COLUMN, stagingFields } from './column-types.ts';
import { requireSuccess } from './jobs.ts';
import type { IntendedLoad, Intent, LoaderRow } from './loader.ts';
import { isOvertaken, ledgerOf, moveLoader, readLoader, settle } from './loader.ts';
import { hash, stagingName } from './names.ts';
import { text } from './sql.ts';
import { endOf, keyOf, runsOf, StagedBatches } from './staged-ledger.ts';
import { loadAvro } from './upload.ts';
import type { Warehouse } from './warehouse.ts';

const unzstd = promisify(zstdDecompress);
const zstd = promisify(zstdCompress);

/** Load jobs that one staging table takes: BigQuery allows 1,500 a table and day, failed ones included. */
const LOADS_A_TABLE = 1000;
/** Batches and end markers of one step: what is written down about them must fit into a statement of one megabyte. */
const STEP_ITEMS = 1000;
/** Load jobs that run side by side. */
const PARALLEL_LOADS = 8;

/** How blocks are loaded: as they came, or without compression where the warehouse does not read it (the emulator). */
export type BlockCodec = 'zstandard' | 'null';

interface Epoch {
  readonly id: GenerationId;
  readonly batches: { readonly batch: RowBatch; readonly schema: TableSchema }[];
  readonly ends: EndMarker[];
}

interface Load extends IntendedLoad {
  readonly schema: TableSchema;
  readonly batches: readonly RowBatch[];
}

/** Stages row batches of one pipeline. What it remembers of the warehouse is thrown away whenever a step fails. */
export class Stager {
  private readonly warehouse: Warehouse;
  private readonly pipeline: string;
  private readonly codec: BlockCodec;
  private readonly limits: { readonly loadsATable: number; readonly stepItems: number };
  private row: LoaderRow | undefined;
  private readonly known = new Map<string, StagedBatches>();
  private readonly made = new Set<string>();

  constructor(warehouse: Warehouse, pipeline: string, codec: BlockCodec, limits = { loadsATable: LOADS_A_TABLE, stepItems: STEP_ITEMS }) {
    this.warehouse = warehouse;
    this.pipeline = pipeline;
    this.codec = codec;
    this.limits = limits;
  }

  /** Begins from a claim. */
  begin(row: LoaderRow): void {
    this.forget();
    this.row = row;
  }

  /** Stages batches and end markers; see the port. */
  async stage(request: StageRequest): Promise<void> {
    try {
      await this.attempt(request);
    } catch (error) {
      this.forget();
      throw isOvertaken(error) ? this.lost() : error;
    }
  }

  private forget(): void {
    this.row = undefined;
    this.known.clear();
    this.made.clear();
  }

  /** In several steps where there is much of it; the last one moves the progress. What an earlier one staged is known when it comes again. */
  private async attempt(request: StageRequest): Promise<void> {
    if (request.moves.length === 0) throw new PipelineError('defect', 'rows are staged without a move of their progress.');
    const row = await this.require(request);
    const next = [...row.next];
    for (const { busPartition, to } of request.moves) next[busPartition] = to;
    const { batches, ends } = request;
    const { stepItems } = this.limits;
    let from = 0;
    let ready = row;
    for (; batches.length + ends.length - from > stepItems; from += stepItems)
      ready = await this.step(ready, row.next, sliceOf(request, from, stepItems));
    this.row = await this.step(ready, next, sliceOf(request, from, stepItems));
  }

  private async step(row: LoaderRow, next: readonly number[], items: Items): Promise<LoaderRow> {
    const epochs = await this.open(items);
    await this.recall(epochs);
    const loads: Load[] = [];
    for (const epoch of epochs) loads.push(...(await this.loadOf(epoch)));
    const ends = epochs.flatMap(({ id, ends: marks }) =>
      marks.length === 0 ? [] : [{ table: id.table, epoch: id.epoch, ends: marks.map(endOf) }],
    );
    const intended = loads.map(({ job, table, epoch, staging, rowSchema, runs }) => ({ job, table, epoch, staging, rowSchema, runs }));
    const intent: Intent = { next, loads: intended, ends };
    const ready = loads.length === 0 ? row : await this.load(row, intent, loads);
    const ledger = ledgerOf(this.pipeline, intent, ready.revision + 1);
    const moved = await moveLoader(this.warehouse, this.pipeline, ready, { ...ready, next, pending: null }, ledger);
    for (const load of loads) this.note(load);
    return moved;
  }

  /** The row as the request wants it: ours, at exactly these offsets, with nothing left open. */
  private async require(request: StageRequest): Promise<LoaderRow> {
    const fits = (row: LoaderRow) =>
      row.owner === request.owner && request.moves.every(({ busPartition, from }) => row.next[busPartition] === from);
    if (this.row !== undefined && this.row.pending === null && fits(this.row)) return this.row;
    const read = await readLoader(this.warehouse, this.pipeline);
    if (read.owner !== request.owner) throw this.lost();
    const settled = await settle(this.warehouse, this.pipeline, read);
    this.known.clear();
    if (!fits(settled)) throw this.lost();
    return settled;
  }

  private lost(): PipelineError {
    return new PipelineError('conflict', `another loader has the rows of pipeline ${this.pipeline}.`, {
      hint: 'This one stops; nothing was changed.',
    });
  }

  /** What a step brings, by epoch; those that are built or gone are left out. */
  private async open(items: Items): Promise<readonly Epoch[]> {
    const epochs = new Map<string, Epoch>();
    const epochOf = ({ table, epoch }: { readonly table: string; readonly epoch: string }) => {
      const key = keyOf(table, epoch);
      const known = epochs.get(key) ?? { id: { pipeline: this.pipeline, table: table as TableId, epoch }, batches: [], ends: [] };
      epochs.set(key, known);
      return known;
    };
    for (const batch of items.batches) epochOf(batch.batch).batches.push(batch);
    for (const end of items.ends) epochOf(end).ends.push(end);
    if (epochs.size === 0) return [];
    const jobs = await this.warehouse.jobs();
    const over = await jobs.query(
      `SELECT DISTINCT tbl, epoch FROM ${this.warehouse.meta('generations')} WHERE pipeline = ${text(this.pipeline)}
       AND epoch IN (${[...epochs.values()].map(({ id }) => text(id.epoch)).join(', ')})`,
    );
    for (const row of over) {
      epochs.delete(keyOf(String(row.tbl), String(row.epoch)));
      this.known.delete(keyOf(String(row.tbl), String(row.epoch)));
    }
    return [...epochs.values()];
  }

  /** Reads what is staged of epochs that are met for the first time. */
  private async recall(epochs: readonly Epoch[]): Promise<void> {
    const unknown = epochs.map(({ id }) => id).filter(({ table, epoch }) => !this.known.has(keyOf(table, epoch)));
    if (unknown.length === 0) return;
    const read = await StagedBatches.read(this.warehouse, this.pipeline, unknown);
    for (const [index, { table, epoch }] of unknown.entries()) this.known.set(keyOf(table, epoch), read[index] as StagedBatches);
  }

  /** The load of an epoch's batches that are not staged yet: none or one. */
  private async loadOf({ id, batches }: Epoch): Promise<readonly Load[]> {
    const key = keyOf(id.table, id.epoch);
    const known = this.known.get(key) as StagedBatches;
    const fresh = new Map<string, RowBatch>();
    for (const { batch } of batches) if (!known.has(batch)) fresh.set(`${batch.partition}/${batch.attempt}/${batch.batch}`, batch);
    const schema = batches[0]?.schema;
    if (fresh.size === 0 || schema === undefined) return [];
    const json = rowSchemaJson(schema);
    if (batches.some((one) => one.schema !== schema && rowSchemaJson(one.schema) !== json))
      throw new PipelineError('defect', `row batches of one epoch of ${id.table} have different columns.`);
    const staging = await this.stagingOf(id, schema, known);
    const job = `nanosync_load_${this.warehouse.api.options.ids.next()}`;
    const all = [...fresh.values()];
    return [{ job, table: id.table, epoch: id.epoch, staging, rowSchema: hash(json), runs: runsOf(all), schema, batches: all }];
  }

  /** The staging table that an epoch's next load goes to. */
  private async stagingOf(id: GenerationId, schema: TableSchema, known: StagedBatches): Promise<string> {
    const number = Math.max(1, known.loads.size);
    const full = (known.loads.get(stagingName(id, number))?.size ?? 0) >= this.limits.loadsATable;
    const name = stagingName(id, full ? number + 1 : number);
    if (this.made.has(name)) return name;
    const problem = columnProblem(schema);
    if (problem !== undefined) throw new PipelineError('prerequisite', problem.what, { hint: problem.cure });
    const own = [
      { name: PARTITION_COLUMN, type: 'INT64' },
      { name: ATTEMPT_COLUMN, type: 'STRING' },
    ];
    const description = `Row batches of ${id.table}, epoch ${id.epoch} of pipeline ${id.pipeline}, until the table is built.`;
    await this.warehouse.create(name, [...own, ...stagingFields(schema)], { description });
    this.made.add(name);
    return name;
  }

  /** Writes the intent down, then runs its load jobs side by side. */
  private async load(row: LoaderRow, intent: Intent, loads: readonly Load[]): Promise<LoaderRow> {
    const intending = await moveLoader(this.warehouse, this.pipeline, row, { ...row, pending: intent });
    const jobs = await this.warehouse.jobs();
    const left = [...loads];
    const work = async () => {
      for (let load = left.shift(); load !== undefined; load = left.shift()) {
        const { job, staging, schema, batches } = load;
        const pieces = avroFile(stagingAvro(schema), this.codec, await this.blocksOf(batches), job);
        requireSuccess(await loadAvro(jobs, { id: job, table: staging, pieces }));
      }
    };
    const outcomes = await Promise.allSettled(Array.from({ length: Math.min(PARALLEL_LOADS, loads.length) }, work));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed === undefined) return intending;
    await settle(this.warehouse, this.pipeline, intending).catch(() => undefined); // Else the next claim settles it.
    throw failed.reason;
  }

  private async blocksOf(batches: readonly RowBatch[]): Promise<readonly AvroBlock[]> {
    return Promise.all(batches.map(async (batch) => ({ rows: batch.rows, bytes: await recode(batch, this.codec) })));
  }

  private note({ table, epoch, runs, staging, job }: Load): void {
    const known = this.known.get(keyOf(table, epoch));
    for (const run of runs) known?.add(run);
    known?.noteLoad(staging, job);
  }
}

/** A block under the file's codec; nearly always as it came. */
async function recode(batch: RowBatch, codec: BlockCodec): Promise<Uint8Array> {
  if (batch.codec === codec) return batch.block;
  if (batch.codec === 'zstandard') return unzstd(batch.block);
  if (batch.codec === 'null') return zstd(batch.block);
  throw new PipelineError('defect', `a row batch of ${batch.table} has the unknown codec ${batch.codec}.`);
}

type Items = Pick<StageRequest, 'batches' | 'ends'>;

/** Some of a request's batches, then of its end markers, as if they were one list. */
function sliceOf({ batches, ends }: Items, from: number, count: number): Items {
  const later = (at: number) => Math.max(0, at - batches.length);
  return { batches: batches.slice(from, from + count), ends: ends.slice(later(from), later(from + count)) };
}
