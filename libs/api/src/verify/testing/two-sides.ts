import type { Position, Row, Sink, SinkRow, Source, TableSchema, VersionedRow } from '@nanosync/core';
import { AvroWriter, ChangeCodec, PipelineError, positionOf, tableIdOf, writeCell } from '@nanosync/core';
import { FakeClock } from '@nanosync/testkit';
import type { ComparedTable, Difference, TableVerified, VerifyLimits } from '../ports.ts';
import { VERIFY_LIMITS } from '../ports.ts';
import { verifyTable } from '../verify-table.ts';

/** A small table with a key of two columns. */
export const THINGS: TableSchema = {
  table: tableIdOf('public', 'things'),
  columns: [
    { name: 'note', type: { kind: 'text' } },
    { name: 'id', type: { kind: 'int64' } },
    { name: 'part', type: { kind: 'text' } },
    { name: 'ratio', type: { kind: 'float64' } },
    { name: 'amount', type: { kind: 'decimal', precision: 10, scale: 2 } },
  ],
  key: ['part', 'id'],
};

/** A row of {@link THINGS}. */
export function thing(id: number, note: string | null = `note of ${id}`): Row {
  return [note, BigInt(id), `part ${id % 7}`, id / 3, BigInt(id) * 100n];
}

const codec = new ChangeCodec(THINGS);
export const keyText = (row: Row) => codec.key(row).toString('latin1');

/** A commit of one row; null: the row is deleted. */
interface Commit {
  readonly key: string;
  readonly row: Row | null;
}

/**
 * A source and a sink in memory, as far as a comparison sees them. The log has commits; of these the source shows a first part, and the sink has applied
 * a first part, which may be the longer one, as a commit is streamed before it is visible. `meanwhile` runs whenever one of the ports is asked.
 */
export class TwoSides {
  readonly source = new Map<string, VersionedRow>();
  readonly sink = new Map<string, SinkRow[]>();
  readonly log: Commit[] = [];
  visible = 0;
  applied = 0;
  /** Whether a transaction that is open keeps commits from being visible. */
  held = false;
  meanwhile: () => void = () => {};
  readonly clock = new FakeClock();

  constructor(rows: readonly Row[]) {
    for (const row of rows) {
      this.source.set(keyText(row), { cells: row, version: 'copy' });
      this.sink.set(keyText(row), [{ cells: row, position: positionOf(1n, 0n) }]);
    }
  }

  write(key: string, row: Row | null): void {
    this.log.push({ key, row });
  }

  /** The source shows so many commits. */
  show(upTo: number): void {
    for (; this.visible < Math.min(upTo, this.log.length); this.visible++) {
      const { key, row } = this.log[this.visible] as Commit;
      if (row === null) this.source.delete(key);
      else this.source.set(key, { cells: row, version: String(this.visible) });
    }
  }

  /** The sink has applied so many commits. */
  apply(upTo: number): void {
    for (; this.applied < Math.min(upTo, this.log.length); this.applied++) {
      const { key, row } = this.log[this.applied] as Commit;
      if (row === null) this.sink.delete(key);
      else this.sink.set(key, [{ cells: row, position: at(this.applied, 1n) }]);
    }
  }

  /** Compares the two. */
  async verify(limits: Partial<VerifyLimits> = {}): Promise<{ readonly result: TableVerified; readonly found: Difference[] }> {
    const found: Difference[] = [];
    const verifying = verifyTable({
      ports: { source: this.sourcePort(), sink: this.sinkPort(), clock: this.clock, signal: new AbortController().signal },
      limits: { ...VERIFY_LIMITS, ...limits },
      table: this.table(),
      listener: { progress: () => {}, difference: (one) => found.push(one) },
    });
    await this.passTime(verifying);
    return { result: await verifying, found };
  }

  /** Moves the clock on until the promise is settled. */
  async passTime(promise: Promise<unknown>): Promise<void> {
    let over = false;
    const end = () => {
      over = true;
    };
    promise.then(end, end);
    while (!over) await this.clock.advance(100);
  }

  private table(): ComparedTable {
    const generation = { pipeline: 'shop', table: THINGS.table, epoch: 'e1' };
    return { pipeline: 'shop', schema: THINGS, storage: '', estimatedRows: this.source.size, generation };
  }

  sourcePort(): Pick<Source, 'partition' | 'readRange' | 'readRows' | 'fence' | 'mark' | 'end'> {
    const self = this;
    return {
      partition: async () => ['0', '1', '2'],
      async *readRange(_table, range, { origin }) {
        self.meanwhile();
        const rows = [...self.source].filter(([key]) => key.length % 3 === Number(range)).map(([, row]) => row);
        for (let at = 0; at < rows.length; at += 5) {
          const some = rows.slice(at, at + 5);
          yield { kind: 'block', block: { rows: some.length, codec: 'null', block: blockOf(some, origin) } };
          self.meanwhile();
        }
      },
      readRows: async (_table, keys) => {
        self.meanwhile();
        return keys.map((key) => self.source.get(codec.keyOfCells(key).toString('latin1')));
      },
      fence: async ({ signal, onWait }) => {
        self.meanwhile();
        const due = self.log.length;
        if (self.held) {
          onWait([{ holder: 'process 42', ageSeconds: 1, cure: '' }]);
          await self.clock.sleep(1e9, signal);
          signal.throwIfAborted();
        }
        self.show(due);
      },
      mark: async () => self.meanwhile(),
      end: async () => at(self.log.length, 0n),
    };
  }

  sinkPort(): Pick<Sink, 'scan' | 'generation'> {
    const self = this;
    return {
      async *scan({ keys }) {
        self.meanwhile();
        if (keys !== undefined) {
          yield keys.flatMap((key) => self.sink.get(codec.keyOfCells(key).toString('latin1')) ?? []);
          return;
        }
        const rows = [...self.sink.values()].flat();
        for (let at = 0; at < rows.length; at += 6) {
          yield rows.slice(at, at + 6);
          self.meanwhile();
        }
      },
      generation: async () => {
        self.meanwhile();
        self.apply(self.applied + 3);
        const progress = [{ busPartition: 0, next: self.applied, session: 1, last: at(self.applied, 0n), floor: null }];
        return { rowsBuilt: 0, current: true, changesApplied: 0, quarantined: 0, defects: 0, topicId: '', schema: THINGS, progress };
      },
    };
  }
}

function at(commit: number, index: bigint): Position {
  return positionOf(BigInt(commit + 10), index);
}

function blockOf(rows: readonly VersionedRow[], origin: Uint8Array): Buffer {
  const writer = new AvroWriter();
  for (const { cells } of rows) {
    writer.raw(origin);
    for (const [index, { type }] of THINGS.columns.entries()) writeCell(writer, type, cells[index] ?? null);
  }
  return writer.copy();
}

/** The error of a promise that is to fail. */
export async function failureOf(promise: Promise<unknown>): Promise<PipelineError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof PipelineError)) throw new Error('a PipelineError was expected', { cause: error });
  return error;
}
