import type {
  ApplyRequest,
  GenerationId,
  KeyedRows,
  PartitionRuns,
  Row,
  ScanRequest,
  Sink,
  SinkRow,
  StagedPartition,
  StageRequest,
  TableId,
  TableSchema,
} from '@nanosync/core';
import { ChangeCodec, givenUp, isBehind, otherPartitions, PipelineError, positionBelowAll, sameSchema } from '@nanosync/core';
import { completeRows, keyFaultsOf, mergeInto } from './memory-merge.ts';
import type { Decoded, Epoch, Generation, StoredRow } from './memory-tables.ts';
import { applyChanges, decode, isOver, leftOf, moveProgress, remove, statusOf } from './memory-tables.ts';

/** Rows of a scan that are of one moment. */
const PIECE = 7;

/** A warehouse in memory, which outlives the sinks that are opened on it as a real one outlives the processes that write it. */
export interface MemoryWarehouse {
  open(): Sink;
  /** The rows that users see under a table's name, in the order of their canonical keys; undefined when there is no such table. */
  read(table: TableId): readonly Row[] | undefined;
  /** Takes a name, as a table that somebody else made would. */
  occupy(table: TableId): void;
  /** Makes a table with these rows, as somebody else would. */
  fill(schema: TableSchema, rows: readonly Row[]): void;
  /** The rows of a table that was made by {@link fill} and not adopted. */
  filled(table: TableId): readonly Row[] | undefined;
  /** Removes what was made by {@link fill} and not adopted; true when there was something. */
  clear(): boolean;
}

/** Makes an empty {@link MemoryWarehouse}. Each step of its sinks is atomic: it checks everything, then changes everything at once. */
export function memoryWarehouse(): MemoryWarehouse {
  const store = new MemoryStore();
  return {
    open: () => store.sink(),
    read: (table) => store.read(table),
    occupy: (table) => {
      store.occupied.add(table.toLowerCase());
    },
    fill: (schema, rows) => {
      store.foreign.set(schema.table.toLowerCase(), { schema, rows });
    },
    filled: (table) => store.foreign.get(table.toLowerCase())?.rows,
    clear: () => {
      const had = store.foreign.size > 0;
      store.foreign.clear();
      return had;
    },
  };
}

function isFedAlike(a: Generation, b: Generation): boolean {
  return a.anchor === b.anchor && a.topicId === b.topicId;
}

class MemoryStore {
  readonly occupied = new Set<string>();
  /** Tables that others made and filled, by name. */
  readonly foreign = new Map<string, { readonly schema: TableSchema; readonly rows: readonly Row[] }>();
  private readonly epochs = new Map<string, Epoch>();
  private readonly loaders = new Map<string, { topicId: string; owner: string; next: number[] }>();

  sink(): Sink {
    return {
      check: async (pipeline, tables, schemas = [], adopts = false) =>
        tables.flatMap((table) => {
          const schema = adopts ? schemas.find((one) => one.table === table) : undefined;
          return (schema === undefined ? this.nameProblem(pipeline, table) : this.adoptionProblem(pipeline, schema)) ?? [];
        }),
      shows: async (table) => this.read(table) !== undefined || this.foreign.has(table.toLowerCase()),
      claimRows: async (pipeline, owner, topicId, busPartitions) => this.claimRows(pipeline, owner, topicId, busPartitions),
      stage: async (request) => this.stage(request, await Promise.all(request.batches.map(decode))),
      staged: async (id) => this.staged(this.epochOf(id)),
      discard: async (id) => this.discard(this.epochOf(id)),
      build: async (request) => this.build(request),
      keyFaults: async (request) => keyFaultsOf(this.completeRowsOf(request), request),
      merge: async (request) => this.merge(request),
      adopt: async (request) => this.adopt(request),
      generation: async (id) => statusOf(this.epochOf(id)),
      generations: async (pipeline, table) => this.generations(pipeline, table),
      claim: async (id, owner) => {
        const epoch = this.epochOf(id);
        const status = statusOf(epoch);
        if (epoch.generation === undefined || status === undefined)
          throw new PipelineError('conflict', `the generation of ${id.table} does not exist.`);
        epoch.generation.owner = owner;
        return status;
      },
      apply: async (request) => this.apply(request),
      switchTo: async (id) => this.switchTo(this.epochOf(id)),
      left: async (tables) => tables.flatMap((table) => this.keptOf(table).map(leftOf)),
      scan: (request) => this.scan(request),
      release: async (pipeline, table, { dropTables }) => this.release(pipeline, table, dropTables),
      [Symbol.asyncDispose]: async () => undefined,
    };
  }

  read(table: TableId): readonly Row[] | undefined {
    const shown = this.builtOf(table).find((generation) => generation.current) ?? this.keptOf(table)[0]?.kept;
    if (shown === undefined) return undefined;
    return [...shown.rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row.cells);
  }

  private epochOf(id: GenerationId): Epoch {
    const key = JSON.stringify([id.pipeline, id.table, id.epoch]);
    const known = this.epochs.get(key) ?? {
      id,
      batches: new Map(),
      ends: new Map(),
      complete: undefined,
      generation: undefined,
      merged: undefined,
      gone: false,
    };
    this.epochs.set(key, known);
    return known;
  }

  private builtOf(table: TableId): Generation[] {
    return [...this.epochs.values()].filter((epoch) => epoch.id.table === table).flatMap((epoch) => epoch.generation ?? []);
  }

  /** Epochs of a table that were left to users; those of other case stand in the way of its name. */
  private keptOf(table: TableId): Epoch[] {
    return [...this.epochs.values()].filter((epoch) => epoch.id.table === table && epoch.kept !== undefined);
  }

  private nameProblem(pipeline: string, table: TableId) {
    if (this.occupied.has(table.toLowerCase()) || this.foreign.has(table.toLowerCase()))
      return { what: `${table} already exists and nanosync did not make it.`, cure: 'Rename or drop it.' };
    const other = [...this.epochs.values()].find(
      ({ id, generation, kept }) =>
        id.table.toLowerCase() === table.toLowerCase() &&
        ((generation?.current === true && (id.pipeline !== pipeline || id.table !== table)) || (kept !== undefined && id.table !== table)),
    );
    return other === undefined ? undefined : { what: `${table} belongs to pipeline ${other.id.pipeline}.`, cure: 'Use another warehouse.' };
  }

  private requireName(id: GenerationId): void {
    const problem = this.nameProblem(id.pipeline, id.table);
    if (problem !== undefined) throw new PipelineError('prerequisite', problem.what, { hint: problem.cure });
  }

  private claimRows(pipeline: string, owner: string, topicId: string, busPartitions: number): readonly number[] {
    const known = this.loaders.get(pipeline);
    const loader = known?.topicId === topicId ? known : { topicId, owner, next: Array.from({ length: busPartitions }, () => 0) };
    if (loader.next.length !== busPartitions)
      throw new PipelineError('gap', `the rows topic of pipeline ${pipeline} is not the one that was loaded so far.`);
    loader.owner = owner;
    this.loaders.set(pipeline, loader);
    return [...loader.next];
  }

  private stage(request: StageRequest, batches: readonly Decoded[]): void {
    const loader = this.loaders.get(request.pipeline);
    if (request.moves.length === 0) throw new PipelineError('defect', 'rows are staged without a move of their progress.');
    if (loader?.owner !== request.owner || request.moves.some((move) => loader.next[move.busPartition] !== move.from))
      throw new PipelineError('conflict', `another loader has the rows of pipeline ${request.pipeline}.`);
    for (const move of request.moves) loader.next[move.busPartition] = move.to;
    for (const decoded of batches) {
      const { batch } = decoded;
      const epoch = this.epochOf({ pipeline: request.pipeline, table: batch.table as TableId, epoch: batch.epoch });
      const key = `${batch.partition}/${batch.batch}/${batch.attempt}`;
      if (!isOver(epoch) && !epoch.batches.has(key)) epoch.batches.set(key, decoded);
    }
    for (const end of request.ends) {
      const epoch = this.epochOf({ pipeline: request.pipeline, table: end.table as TableId, epoch: end.epoch });
      const key = `${end.partition}/${end.attempt}`;
      if (!isOver(epoch) && !epoch.ends.has(key)) epoch.ends.set(key, end);
    }
  }

  private staged(epoch: Epoch): readonly StagedPartition[] {
    if (epoch.complete !== undefined) return epoch.complete;
    const complete = new Map<number, StagedPartition>();
    for (const end of epoch.ends.values()) {
      const own = [...epoch.batches.values()]
        .map(({ batch }) => batch)
        .filter((batch) => batch.partition === end.partition && batch.attempt === end.attempt);
      const whole = own.length === end.batches && own.every((batch) => batch.batch < end.batches);
      if (!whole || own.reduce((sum, batch) => sum + batch.rows, 0) !== end.rows || complete.has(end.partition)) continue;
      complete.set(end.partition, { partition: end.partition, attempt: end.attempt, rows: end.rows, quarantined: end.quarantined });
    }
    return [...complete.values()].sort((a, b) => a.partition - b.partition);
  }

  private build(request: Parameters<Sink['build']>[0]): { readonly rows: number } {
    const { generation: id, schema } = request;
    const epoch = this.epochOf(id);
    if (epoch.generation !== undefined) return { rows: epoch.generation.rowsBuilt };
    if (epoch.gone) throw givenUp(id);
    this.requireName(id);
    const codec = new ChangeCodec(schema);
    const rows = new Map<string, StoredRow>();
    const complete = this.completeOf(request, request.without);
    for (const [place, cells] of completeRows(epoch, complete).entries()) {
      const key = schema.key.length === 0 ? String(place) : codec.key(cells).toString('latin1');
      rows.set(key, { cells, position: request.l0 });
    }
    epoch.complete = complete;
    this.begin(epoch, request, rows, complete);
    epoch.generation = { ...(epoch.generation as unknown as Generation), without: request.without };
    return { rows: rows.size };
  }

  private adopt(request: Parameters<Sink['adopt']>[0]): { readonly rows: number } {
    const { generation: id, schema } = request;
    const epoch = this.epochOf(id);
    const { generation: known } = epoch;
    if (known !== undefined) return { rows: known.rowsBuilt };
    if (epoch.gone) throw givenUp(id);
    const problem = this.adoptionProblem(id.pipeline, schema);
    if (problem !== undefined) throw new PipelineError('prerequisite', problem.what, { hint: problem.cure });
    const current = this.others(id).find(({ generation }) => generation?.current === true)?.generation;
    if (current !== undefined && current.topicId !== '')
      throw new PipelineError('gap', `${id.table} at the sink followed changes before, and what came since would be missing.`, {
        hint: `Run: nanosync pipeline resnapshot ${id.pipeline}`,
      });
    const codec = new ChangeCodec(schema);
    const shown = current ?? this.keptOf(id.table)[0]?.kept;
    const found = this.foreign.get(id.table.toLowerCase())?.rows ?? [...(shown?.rows.values() ?? [])].map(({ cells }) => cells);
    const position = positionBelowAll(request.l0);
    const rows = new Map<string, StoredRow>(found.map((cells) => [codec.key(cells).toString('latin1'), { cells, position }]));
    this.foreign.delete(id.table.toLowerCase());
    this.begin(epoch, request, rows, []);
    this.switchTo(epoch);
    return { rows: rows.size };
  }

  private begin(
    epoch: Epoch,
    request: Parameters<Sink['adopt']>[0],
    rows: Map<string, StoredRow>,
    complete: readonly StagedPartition[],
  ): void {
    const { schema, l0 } = request;
    epoch.batches.clear();
    epoch.generation = {
      anchor: request.anchor,
      schema,
      codec: new ChangeCodec(schema),
      topicId: request.topicId,
      rowsBuilt: rows.size,
      rows,
      current:
        this.keptOf(request.generation.table).length === 0 &&
        !this.others(request.generation).some((other) => other.generation?.current === true),
      owner: '',
      changesApplied: 0,
      quarantined: complete.reduce((sum, partition) => sum + partition.quarantined, 0),
      defects: 0,
      progress: request.start.map((start, busPartition) => ({ busPartition, ...start, last: l0, floor: null })),
    };
  }

  /** What keeps the rows under the name from being adopted. */
  private adoptionProblem(pipeline: string, schema: TableSchema) {
    const found = this.foreign.get(schema.table.toLowerCase());
    const cure = 'Correct it, or rename it.';
    const ours = this.keptOf(schema.table)[0]?.kept ?? this.builtOf(schema.table).find(({ current }) => current);
    const shown = found ?? ours;
    const problem = found === undefined ? this.nameProblem(pipeline, schema.table) : undefined;
    if (problem !== undefined || shown === undefined) return problem;
    if (!sameSchema(shown.schema, schema)) return { what: `${schema.table} has other columns than the source.`, cure };
    if (found === undefined) return undefined;
    const codec = new ChangeCodec(schema);
    const keys = new Set(found.rows.map((cells) => codec.key(cells).toString('latin1')));
    return keys.size === found.rows.length ? undefined : { what: `${schema.table} has several rows of one key.`, cure };
  }

  private completeRowsOf(request: KeyedRows): readonly Row[] {
    return completeRows(this.epochOf(request.generation), this.completeOf(request));
  }

  private completeOf({ generation: id, partitions }: KeyedRows, without?: PartitionRuns): readonly StagedPartition[] {
    const wanted = otherPartitions(without ?? [], partitions);
    const staged = this.staged(this.epochOf(id));
    const complete = without === undefined ? staged : staged.filter(({ partition }) => wanted.includes(partition));
    if (complete.length !== wanted.length || complete.some(({ partition }, index) => partition !== wanted[index]))
      throw new PipelineError('defect', `${id.table} is to be made of ${wanted.length} partitions, not all of them complete.`);
    return complete;
  }

  private merge(request: Parameters<Sink['merge']>[0]): { readonly rows: number } {
    const { generation: id } = request;
    const epoch = this.epochOf(id);
    if (epoch.merged !== undefined) return { rows: epoch.merged.rows };
    if (isOver(epoch)) throw givenUp(id);
    const rows = this.completeRowsOf(request);
    const complete = this.staged(epoch);
    mergeInto(this.others(id).find(({ generation }) => generation?.current)?.generation, rows, request);
    this.forgetMerged(id);
    epoch.complete = complete;
    epoch.batches.clear();
    epoch.ends.clear();
    epoch.merged = {
      rows: rows.length,
      quarantined: complete.reduce((sum, partition) => sum + partition.quarantined, 0),
      schema: request.schema,
    };
    return { rows: rows.length };
  }

  /** Of epochs that were merged only the last is one that users see. */
  private forgetMerged({ pipeline, table }: GenerationId): void {
    for (const epoch of this.epochs.values())
      if (epoch.merged !== undefined && epoch.id.pipeline === pipeline && epoch.id.table === table) remove(epoch);
  }

  private others(id: GenerationId): Epoch[] {
    return [...this.epochs.values()].filter(
      (epoch) =>
        epoch.id.pipeline === id.pipeline && epoch.id.table === id.table && epoch.id.epoch !== id.epoch && epoch.generation !== undefined,
    );
  }

  private generations(pipeline: string, table: TableId) {
    return [...this.epochs.values()]
      .filter(({ id, gone, generation, batches, ends }) => {
        const held = generation !== undefined || (!gone && batches.size + ends.size > 0);
        return id.pipeline === pipeline && id.table === table && held;
      })
      .map(({ id, generation }) => ({ epoch: id.epoch, anchor: generation?.anchor ?? '', current: generation?.current === true }))
      .sort((a, b) => Number(b.current) - Number(a.current) || (a.epoch < b.epoch ? -1 : 1));
  }

  private apply(request: ApplyRequest) {
    const { generation } = this.epochOf(request.generation);
    const moved = new Set(request.moves.map((move) => move.busPartition));
    if (moved.size === 0 || moved.size !== request.moves.length || request.changes.some((change) => !moved.has(change.busPartition)))
      throw new PipelineError('defect', 'a batch does not move the progress of each of its bus partitions once.');
    if (
      generation === undefined ||
      generation.owner !== request.owner ||
      request.moves.some((move) => generation.progress[move.busPartition]?.next !== move.from)
    )
      throw new PipelineError('conflict', `another writer has ${request.generation.table}.`);
    if (!sameSchema(generation.schema, request.schema))
      throw new PipelineError('table-changed', `${request.generation.table} has other columns.`);
    moveProgress(generation, request);
    const applied = applyChanges(generation, request.changes);
    generation.changesApplied += applied.applied;
    generation.quarantined += applied.quarantined.length;
    generation.defects += applied.defects;
    return applied;
  }

  private switchTo(epoch: Epoch): boolean {
    const { generation } = epoch;
    if (generation === undefined) throw new PipelineError('conflict', `the generation of ${epoch.id.table} does not exist.`);
    this.requireName(epoch.id);
    if (generation.current) return true;
    const shown = this.others(epoch.id).find((other) => other.generation?.current === true)?.generation;
    // Invariant 'gate': nothing that users have seen is taken back.
    if (shown !== undefined && isFedAlike(shown, generation) && isBehind(generation.progress, shown.progress)) return false;
    this.forgetMerged(epoch.id);
    for (const other of [...this.others(epoch.id), ...this.keptOf(epoch.id.table)]) remove(other);
    generation.current = true;
    return true;
  }

  /** In pieces of a few rows, so that changes can come between them. */
  private async *scan({ generation: id, keys, signal }: ScanRequest): AsyncGenerator<readonly SinkRow[]> {
    const { generation } = this.epochOf(id);
    if (generation === undefined) throw new PipelineError('conflict', `the generation of ${id.table} does not exist.`);
    const { codec, rows } = generation;
    const wanted = keys?.map((key) => codec.keyOfCells(key).toString('latin1')) ?? [...rows.keys()];
    const step = keys === undefined ? PIECE : Math.max(1, wanted.length);
    for (let at = 0; at < wanted.length; at += step) {
      signal.throwIfAborted();
      yield wanted.slice(at, at + step).flatMap((key) => rows.get(key) ?? []);
    }
  }

  private release(pipeline: string, table: TableId | null, dropTables: boolean): void {
    for (const epoch of this.epochs.values()) {
      if (epoch.id.pipeline !== pipeline || (table !== null && epoch.id.table !== table)) continue;
      const shown = epoch.generation?.current === true ? epoch.generation : epoch.kept;
      remove(epoch);
      if (!dropTables) epoch.kept = shown;
    }
    if (table === null) this.loaders.delete(pipeline);
  }

  private discard(epoch: Epoch): void {
    if (epoch.generation?.current !== true && epoch.merged === undefined && epoch.kept === undefined) remove(epoch);
  }
}
