import { zstdDecompressSync } from 'node:zlib';
import type { Row, Source, SourceTable } from '@nanosync/core';
import { AvroReader, readCell } from '@nanosync/core';

/** All rows of a table, as the snapshot reads them. */
export async function rowsOf(source: Source, table: SourceTable): Promise<Row[]> {
  const rows: Row[] = [];
  const options = { targetBytes: 100_000, origin: new Uint8Array(0), signal: new AbortController().signal };
  for await (const output of source.readRange(table, '0:', options)) {
    if (output.kind !== 'block') throw new Error(output.row.reason);
    const reader = new AvroReader(zstdDecompressSync(output.block.block));
    while (!reader.done) rows.push(table.schema.columns.map((column) => readCell(reader, column.type)));
  }
  return rows;
}
