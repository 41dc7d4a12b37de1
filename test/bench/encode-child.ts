import type { Log } from '@nanosync/core';
import { rowOrigin } from '@nanosync/core';
import { systemClock } from '@nanosync/runtime';
import { openPostgresSource } from '@nanosync/source-postgres';

/** Ranges that are read side by side, as one pipeline's workers do. */
const CONCURRENCY = 4;
const TARGET_ROWS = 100_000;
const BATCH_BYTES = 512 * 1024;

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, with: () => silent };

/** Reads and encodes a whole table as the snapshot workers do, and drops the batches. Prints seconds, rows and bytes. */
const [dsn = '', table = ''] = process.argv.slice(2);
await using source = await openPostgresSource({ dsn, applicationName: 'nanosync-bench', log: silent, clock: systemClock() });
const [found] = await source.discover([table]);
if (found === undefined) throw new Error(`no table ${table}`);
const ranges = [...(await source.partition(found, { targetRows: TARGET_ROWS, whole: false }))];
const { signal } = new AbortController();
const origin = rowOrigin(0, '0123456789abcdef');
let rows = 0;
let bytes = 0;
const began = performance.now();
const worker = async () => {
  for (let range = ranges.shift(); range !== undefined; range = ranges.shift()) {
    for await (const output of source.readRange(found, range, { targetBytes: BATCH_BYTES, origin, signal })) {
      if (output.kind === 'rejected') throw new Error(`a row was rejected: ${output.row.reason}`);
      rows += output.block.rows;
      bytes += output.block.block.byteLength;
    }
  }
};
await Promise.all(Array.from({ length: CONCURRENCY }, worker));
console.log(JSON.stringify({ seconds: (performance.now() - began) / 1000, rows, bytes }));
