import type {
  Anchor,
  ChangeReader,
  ChangesOptions,
  Clock,
  ConfirmOptions,
  Position,
  Row,
  Source,
  SourceEvent,
  TableId,
} from '@nanosync/core';
import { AvroWriter, PipelineError, positionOf, sectionsOf, UNCHANGED, writeCell } from '@nanosync/core';
import type { Logged, ModelDatabase, Write } from './model-database.ts';
import { eventsOf } from './model-database.ts';

/** Rows in one block of a range that is being read; small, so that a range has several batches. */
const BLOCK_ROWS = 2;
/** Time between two blocks, so that writers get in between. */
const BLOCK_MS = 30;

/** One process's connections to the model; `cut` ends them, as the server does when the process is gone. */
export interface ModelConnections {
  readonly source: Source;
  cut(): void;
}

/** Opens the model as a source. */
export function openModelSource(db: ModelDatabase, clock: Clock): ModelConnections {
  const ended = new AbortController();
  const source: Source = {
    check: async () => [],
    discover: async (tables) =>
      tables.map((table) => {
        if (!db.has(table)) throw new PipelineError('config', `Table ${table} does not exist.`);
        const { schema, file, rows } = db.table(table as TableId);
        return { schema, storage: `file ${file}`, estimatedRows: rows.size };
      }),
    drift: async () => [],
    anchor: async (pipeline, id): Promise<Anchor> => {
      db.slot = { pipeline, confirmed: db.end, holder: null };
      db.slotsMade++;
      db.wake();
      return { id, l0: positionOf(db.end, 0n), origin: { database: 'model' } };
    },
    verify: async (_pipeline, _anchor, published) => {
      const { slot } = db;
      if (slot === undefined) throw new PipelineError('gap', 'The slot is gone.');
      if (published !== null && slot.confirmed > lsnOf(published))
        throw new PipelineError('gap', 'The slot was confirmed beyond what was published.');
      if (published !== null && lsnOf(published) > db.end) throw new PipelineError('gap', 'The log ends before what was published.');
    },
    release: async () => {
      db.slot = undefined;
    },
    fence: async ({ signal }) => clock.sleep(5, signal),
    partition: async (table, { targetRows, whole }) => partition(db, table.schema.table, whole ? Number.MAX_SAFE_INTEGER : targetRows),
    readRange: (table, range, { signal, origin }) => readRange({ db, clock, signal, origin }, table.schema.table, table.storage, range),
    changes: async (options) => {
      const { slot } = db;
      if (slot === undefined) throw new PipelineError('gap', 'The slot is gone.');
      if (slot.holder !== null) throw new PipelineError('conflict', 'The slot is in use.');
      slot.holder = Symbol('capture');
      return new ModelReader({ db, options, holder: slot.holder, cut: ended.signal, clock });
    },
    mark: async (marker) => db.commit([], marker),
    end: async () => positionOf(db.end, 0n),
    distance: () => 0,
    [Symbol.asyncDispose]: async () => ended.abort(),
  };
  return { source, cut: () => ended.abort() };
}

function lsnOf(position: Position): bigint {
  return sectionsOf(position)[0] as bigint;
}

/** Ranges of ids; they differ from call to call as ranges by statistics do, so that two plans of one table never mix unnoticed. */
function partition(db: ModelDatabase, table: TableId, targetRows: number): readonly string[] {
  const ids = db.rowsOf(table).map((row) => Number(row[0]));
  const highest = Math.max(0, ...ids);
  const offset = db.log.length % 3;
  const ranges: string[] = [];
  let from = 0;
  for (let to = targetRows + offset; to <= highest; to += targetRows) {
    ranges.push(JSON.stringify([from, to]));
    from = to;
  }
  return [...ranges, JSON.stringify([from, null])];
}

interface ReadContext {
  readonly db: ModelDatabase;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly origin: Uint8Array;
}

async function* readRange({ db, clock, signal, origin }: ReadContext, table: TableId, storage: string, range: string) {
  if (storage !== `file ${db.table(table).file}`) throw new PipelineError('table-changed', `Table ${table} was rewritten.`);
  const [from, to] = JSON.parse(range) as [number, number | null];
  const rows = db.rowsOf(table).filter((row) => Number(row[0]) >= from && (to === null || Number(row[0]) < to));
  const { columns } = db.table(table).schema;
  for (let at = 0; at < rows.length; at += BLOCK_ROWS) {
    await clock.sleep(BLOCK_MS, signal);
    if (signal.aborted) return;
    const writer = new AvroWriter();
    const part = rows.slice(at, at + BLOCK_ROWS);
    for (const row of part) {
      writer.raw(origin);
      for (const [index, column] of columns.entries()) writeCell(writer, column.type, row[index] ?? null);
    }
    yield { kind: 'block', block: { rows: part.length, codec: 'null', block: writer.copy() } } as const;
  }
}

interface ReaderParts {
  readonly db: ModelDatabase;
  readonly options: ChangesOptions;
  readonly holder: symbol;
  readonly cut: AbortSignal;
  readonly clock: Clock;
}

/** Streams the model's log from the slot, a transaction a call. */
class ModelReader implements ChangeReader {
  private readonly db: ModelDatabase;
  private readonly options: ChangesOptions;
  private readonly holder: symbol;
  private readonly cut: AbortSignal;
  private readonly clock: Clock;
  private at: bigint;
  private told = -1n;
  private offered = new Set<Position>();

  constructor({ db, options, holder, cut, clock }: ReaderParts) {
    this.db = db;
    this.options = options;
    this.holder = holder;
    this.cut = cut;
    this.clock = clock;
    const from = lsnOf(options.from);
    const confirmed = db.slot?.confirmed ?? 0n;
    this.at = from > confirmed ? from : confirmed;
    cut.addEventListener('abort', () => this.letGo(), { once: true });
  }

  async next(): Promise<readonly SourceEvent[] | undefined> {
    const { db, options } = this;
    for (;;) {
      if (options.signal.aborted) return undefined;
      if (this.cut.aborted || db.slot?.holder !== this.holder) throw new PipelineError('unavailable', 'The stream was ended.');
      const next = db.log.find(({ lsn }) => lsn >= this.at);
      if (next !== undefined) return this.deliver(next);
      if (this.told < db.end) {
        this.told = db.end;
        const position = positionOf(db.end, 0n);
        this.offered.add(position);
        return [{ kind: 'idle', position }];
      }
      await db.changed(AbortSignal.any([options.signal, this.cut]));
    }
  }

  acknowledge(position: Position): void {
    const { slot } = this.db;
    if (this.cut.aborted || slot === undefined || slot.holder !== this.holder) return;
    if (!this.offered.has(position)) throw new Error('a position was acknowledged that the stream did not offer');
    if (this.options.confirm === undefined) this.confirm(lsnOf(position));
    else void this.confirmLater(position, this.options.confirm);
  }

  private async confirmLater(position: Position, { afterMs, mayTell }: ConfirmOptions): Promise<void> {
    await this.clock.sleep(afterMs, this.cut);
    if (await mayTell(position).catch(() => false)) this.confirm(lsnOf(position));
  }

  private confirm(lsn: bigint): void {
    const { slot } = this.db;
    if (this.cut.aborted || slot === undefined || slot.holder !== this.holder) return;
    if (lsn > slot.confirmed) slot.confirmed = lsn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.letGo();
  }

  private letGo(): void {
    const { slot } = this.db;
    if (slot?.holder === this.holder) slot.holder = null;
  }

  private deliver(logged: Logged): readonly SourceEvent[] {
    this.at = logged.lsn + 1n;
    const events = eventsOf(logged, (write) => this.image(write));
    for (const event of events) if (event.kind === 'commit') this.offered.add(event.acknowledge);
    return events;
  }

  /** The row as the log has it: untouched large cells are left out, and completed from the table below L1. */
  private image(write: Write & { readonly kind: 'put' }): { readonly row: Row; readonly rowless: boolean } {
    const untouched = write.untouched ?? [];
    const lacking = write.row.map((cell, index) => (untouched.includes(index) ? UNCHANGED : cell));
    if (untouched.length === 0 || !this.options.complete(write.table)) return { row: lacking, rowless: false };
    const now = this.db.row(write.table, this.db.keyOf(write.table, write.row));
    if (now === undefined) return { row: lacking, rowless: true };
    return { row: lacking.map((cell, index) => (cell === UNCHANGED ? (now[index] ?? null) : cell)), rowless: false };
  }
}
