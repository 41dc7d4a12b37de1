import type { TableSize } from './table-size.ts';

/** No range holds more than this, out-of-line values included: it bounds what a repeated attempt costs. */
const RANGE_BYTES = 256 * 1024 * 1024;

/**
 * Page ranges `from:to` that cover the table without overlap, about equal, near `targetRows` rows and below the byte bound.
 * The last one is open: rows that are inserted behind it while the snapshot runs belong to it.
 */
export function pageRanges(size: TableSize, targetRows: number): string[] {
  if (size.pages === 0) return ['0:'];
  const byRows = (targetRows * size.pages) / Math.max(1, size.rows);
  const byBytes = (RANGE_BYTES * size.pages) / Math.max(1, size.bytes);
  const perRange = Math.min(size.pages, Math.max(1, Math.floor(Math.min(byRows, byBytes))));
  const ranges = Math.ceil(size.pages / perRange);
  const borders = Array.from({ length: ranges }, (_, range) => Math.floor((range * size.pages) / ranges));
  // Invariant 'cover': the last range is open, for pages that are added while the others are read.
  return borders.map((from, range) => `${from}:${borders[range + 1] ?? ''}`);
}
