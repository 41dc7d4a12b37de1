import type { Cell, Marker, Position, Row, SourceEvent, TableId, TableSchema } from '@nanosync/core';
import { ChangeCodec, positionOf } from '@nanosync/core';

/** What a transaction of the model does to one row or to a whole table. */
export type Write =
  | { readonly kind: 'put'; readonly table: TableId; readonly row: Row; readonly untouched?: readonly number[] }
  | { readonly kind: 'delete'; readonly table: TableId; readonly row: Row }
  | { readonly kind: 'truncate'; readonly table: TableId };

/** One committed transaction in the model's log; `writes` in order, or a marker. */
export interface Logged {
  readonly lsn: bigint;
  readonly writes: readonly LoggedWrite[];
  readonly marker: Marker | null;
}

/** A write with what it found. */
export interface LoggedWrite {
  readonly write: Write;
  readonly existed: boolean;
}

interface ModelTable {
  readonly schema: TableSchema;
  readonly codec: ChangeCodec;
  readonly rows: Map<string, Row>;
  file: number;
}

/** A slot of the model: where it stands, and the connection that streams from it. */
export interface ModelSlot {
  readonly pipeline: string;
  confirmed: bigint;
  holder: symbol | null;
}

const FIRST_LSN = 0x1000n;
const LSN_STEP = 0x10n;

/**
 * An operational database in memory: tables, a log of committed transactions and one slot. It is the oracle of the simulation:
 * what its tables hold at the end is what the sink must hold.
 */
export class ModelDatabase {
  readonly log: Logged[] = [];
  slot: ModelSlot | undefined;
  /** Anchored slots so far, to tell a lost one from one that never was. */
  slotsMade = 0;
  private readonly tables = new Map<TableId, ModelTable>();
  private readonly waiting = new Set<() => void>();

  constructor(schemas: readonly TableSchema[]) {
    for (const schema of schemas) this.tables.set(schema.table, { schema, codec: new ChangeCodec(schema), rows: new Map(), file: 1 });
  }

  /** The place of the next commit. */
  get end(): bigint {
    return FIRST_LSN + BigInt(this.log.length) * LSN_STEP;
  }

  has(table: string): boolean {
    return this.tables.has(table as TableId);
  }

  table(table: TableId): ModelTable {
    const found = this.tables.get(table);
    if (found === undefined) throw new Error(`the model has no table ${table}`);
    return found;
  }

  /** The rows in the order of their canonical keys, as the memory warehouse gives them. */
  rowsOf(table: TableId): readonly Row[] {
    return [...this.table(table).rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  }

  tableIds(): readonly TableId[] {
    return [...this.tables.keys()];
  }

  row(table: TableId, key: string): Row | undefined {
    return this.table(table).rows.get(key);
  }

  keyOf(table: TableId, row: Row): string {
    return this.table(table).codec.key(row).toString('latin1');
  }

  /** Commits one transaction. */
  commit(writes: readonly Write[], marker: Marker | null = null): void {
    const lsn = this.end;
    this.log.push({ lsn, writes: writes.map((write) => this.write(write)), marker });
    this.wake();
  }

  /** Logs an update of a row that is nowhere, with a cell left out: nothing can make a whole row of it. */
  logOrphan(table: TableId, row: Row): void {
    this.log.push({ lsn: this.end, writes: [{ write: { kind: 'put', table, row, untouched: [2] }, existed: true }], marker: null });
    this.wake();
  }

  /** Moves every row to another file, as VACUUM FULL does: no change event, and ranges of the old file cover nothing. */
  rewrite(table: TableId): void {
    this.table(table).file++;
  }

  /** Resolves when something was committed, or the wait is given up. */
  changed(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        this.waiting.delete(end);
        signal.removeEventListener('abort', end);
        resolve();
      };
      this.waiting.add(end);
      signal.addEventListener('abort', end, { once: true });
    });
  }

  wake(): void {
    for (const end of [...this.waiting]) end();
  }

  private write(write: Write): LoggedWrite {
    const { rows } = this.table(write.table);
    if (write.kind === 'truncate') {
      rows.clear();
      return { write, existed: true };
    }
    const key = this.keyOf(write.table, write.row);
    const existed = rows.has(key);
    if (write.kind === 'delete') rows.delete(key);
    else rows.set(key, write.row);
    return { write, existed };
  }
}

/** The events of one transaction, from index `after` on; `image` gives the cells that an update leaves out of the log. */
export function eventsOf(
  logged: Logged,
  image: (write: Write & { readonly kind: 'put' }) => { readonly row: Row; readonly rowless: boolean },
): readonly SourceEvent[] {
  const events: SourceEvent[] = [];
  const commitMs = Number(logged.lsn);
  const txId = Number(logged.lsn);
  const place = (): Position => positionOf(logged.lsn, BigInt(events.length + 1));
  if (logged.marker !== null) events.push({ kind: 'marker', marker: logged.marker, position: place(), commitMs });
  for (const { write, existed } of logged.writes) {
    const { table } = write;
    const common = { kind: 'change', table, keyChange: false, completed: false, position: place(), txId, commitMs } as const;
    if (write.kind === 'truncate') events.push({ kind: 'truncate', table, position: place(), txId, commitMs });
    else if (write.kind === 'delete') events.push({ ...common, op: 'd', before: write.row, after: null, rowless: false });
    else if (!existed) events.push({ ...common, op: 'c', before: null, after: write.row, rowless: false });
    else {
      const { row, rowless } = image(write);
      events.push({ ...common, op: 'u', before: null, after: row, rowless });
    }
  }
  const position = positionOf(logged.lsn, BigInt(events.length));
  events.push({ kind: 'commit', position, acknowledge: positionOf(logged.lsn, 0n), commitMs });
  return events;
}

/** A row in words, for a failure that must be readable. */
export function rowText(row: Row): string {
  return row.map((cell: Cell) => String(cell)).join('|');
}
