import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import type { Clock } from '@nanosync/core';
import { rowOrigin } from '@nanosync/core';
import type { ComparedTable, VerifyPorts } from './ports.ts';
import type { RowBytes, RowForm } from './row-form.ts';

const unzstd = promisify(zstdDecompress);

/** Bytes of a block before compression, and rows of a range: small ranges are short transactions, which hold back no vacuum. */
const BLOCK_BYTES = 256 * 1024;
const RANGE_ROWS = 100_000;
/** The source's blocks have an origin in front of each row; nobody reads this one. */
const ORIGIN = rowOrigin(0, '');

/** What takes the rows of a side. */
export interface RowTaker {
  take(row: RowBytes): void;
  /** After each piece. */
  pause(rows: number): Promise<void>;
  /** A row that has no form to be compared. */
  refused(): void;
}

/** Hands over all rows of the source, a range in a transaction of its own: what moves between two is missed, or comes twice. */
export async function readSource({ source, signal }: VerifyPorts, table: ComparedTable, form: RowForm, taker: RowTaker): Promise<void> {
  const { schema, storage, estimatedRows, whole = false } = table;
  const ranges = await source.partition({ schema, storage, estimatedRows }, { targetRows: RANGE_ROWS, whole });
  for (const range of ranges) {
    for await (const output of source.readRange({ schema, storage }, range, { targetBytes: BLOCK_BYTES, origin: ORIGIN, signal })) {
      if (output.kind === 'rejected') {
        taker.refused();
        continue;
      }
      const { codec, block, rows } = output.block;
      for (const row of form.ofBlock(codec === 'zstandard' ? await unzstd(block) : block)) taker.take(row);
      await taker.pause(rows);
    }
  }
}

/** Hands over all rows of the sink. */
export async function readSink({ sink, signal }: VerifyPorts, table: ComparedTable, form: RowForm, taker: RowTaker): Promise<void> {
  for await (const piece of sink.scan({ generation: table.generation, schema: table.schema, signal })) {
    for (const { cells } of piece) taker.take(form.ofCells(cells));
    await taker.pause(piece.length);
  }
}

/** Keeps a reader at so many rows a second; 0: no limit. Returns how to wait after a piece. */
export function pacer(clock: Clock, rowsPerSecond: number, signal: AbortSignal): (rows: number) => Promise<void> {
  const began = clock.monotonicMs();
  let rows = 0;
  return async (more) => {
    rows += more;
    signal.throwIfAborted();
    const due = rowsPerSecond === 0 ? 0 : began + (rows * 1000) / rowsPerSecond - clock.monotonicMs();
    if (due > 0) await clock.sleep(due, signal);
  };
}
