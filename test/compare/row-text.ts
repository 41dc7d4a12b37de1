import type { CanonicalColumn } from './canonical.ts';

const SEPARATOR = 31;
const NULL_MARK = '\u001e';

/** How many arguments one `concat_ws` is given; PostgreSQL takes at most 100. */
const GROUP = 50;

/**
 * A whole row as one text on each end, so that half a million wide rows are compared in seconds. Unambiguous: text that may
 * hold the separator has its length in bytes in front, and null is a mark that no other cell can be.
 */
export function rowTextSql(columns: readonly CanonicalColumn[], end: 'source' | 'sink'): string {
  const parts = columns.map((column) => {
    const sql = column[end];
    const length = end === 'source' ? `octet_length(${sql})` : `strlen(${sql})`;
    const text = column.free ? `${length} || ':' || ${sql}` : sql;
    const isNull = `"${column.name.replaceAll('"', '""')}" IS NULL`;
    return `CASE WHEN ${isNull} THEN chr(30) ELSE ${text} END`;
  });
  while (parts.length > GROUP) parts.push(`concat_ws(chr(${SEPARATOR}), ${parts.splice(0, GROUP).join(', ')})`);
  return `concat_ws(chr(${SEPARATOR}), ${parts.join(', ')})`;
}

/** The names of the columns in which two row texts differ. */
export function differingColumns(columns: readonly CanonicalColumn[], source: string, sink: string): readonly string[] {
  const order = inTextOrder(columns);
  const left = splitRowText(order, source);
  const right = splitRowText(order, sink);
  const differing = new Set(order.filter((_, index) => left[index] !== right[index]).map((column) => column.name));
  return columns.map((column) => column.name).filter((name) => differing.has(name));
}

/**
 * The same text out of cells that an end gave one by one, as text or null.
 */
export function rowTextOf(columns: readonly CanonicalColumn[], cells: readonly (string | null)[]): string {
  const texts = new Map(columns.map((column, index) => [column, cellText(column, cells[index] ?? null)]));
  return inTextOrder(columns)
    .map((column) => texts.get(column))
    .join(String.fromCharCode(SEPARATOR));
}

function cellText({ free }: CanonicalColumn, cell: string | null): string {
  if (cell === null) return NULL_MARK;
  return free ? `${Buffer.byteLength(cell)}:${cell}` : cell;
}

/** Grouping moves whole groups to the end; this repeats it on the columns. */
function inTextOrder(columns: readonly CanonicalColumn[]): readonly CanonicalColumn[] {
  const parts: CanonicalColumn[][] = columns.map((column) => [column]);
  while (parts.length > GROUP) parts.push(parts.splice(0, GROUP).flat());
  return parts.flat();
}

function splitRowText(columns: readonly CanonicalColumn[], text: string): readonly string[] {
  const bytes = Buffer.from(text);
  const cells: string[] = [];
  let at = 0;
  for (const column of columns) {
    let end = bytes.indexOf(SEPARATOR, at);
    if (end < 0) end = bytes.length;
    if (column.free && bytes.toString('utf8', at, at + 1) !== NULL_MARK) {
      const colon = bytes.indexOf(':', at);
      end = colon + 1 + Number(bytes.toString('latin1', at, colon));
    }
    cells.push(bytes.toString('utf8', at, end));
    at = end + 1;
  }
  return cells;
}
