import type { Cell, CellValue, ColumnType } from '@nanosync/core';
import { formatDecimal, PipelineError, parseDecimal, UNCHANGED } from '@nanosync/core';
import { sameKeyCell, valueSql } from './cell-sql.ts';
import { int, text } from './sql.ts';

/** How the cells of a column are asked for, as text that loses nothing, and how that text is read. */
export interface CellForm {
  readonly sql: (column: string) => string;
  readonly read: (text: string) => CellValue;
}

const cast = (x: string) => `CAST(${x} AS STRING)`;

/** The form of a kind; the same in BigQuery and in the emulator. */
export function cellForm(type: ColumnType): CellForm {
  switch (type.kind) {
    case 'bool':
      return { sql: cast, read: (value) => value === 'true' };
    case 'int16':
    case 'int32':
      return { sql: cast, read: Number };
    case 'int64':
      return { sql: cast, read: BigInt };
    case 'float64':
      // Seventeen digits name a double exactly; a plain cast may drop the sign of zero.
      return { sql: (x) => `FORMAT('%.17g', ${x})`, read: readFloat };
    case 'decimal':
      // BigQuery keeps no scale, the emulator pads to that of the column.
      return { sql: cast, read: (value) => parseDecimal(value.includes('.') ? value.replace(/\.?0*$/, '') : value, type.scale) };
    case 'text':
    case 'json':
    case 'uuid':
      return { sql: (x) => x, read: (value) => value };
    case 'bytes':
      return { sql: (x) => `TO_HEX(${x})`, read: (value) => Buffer.from(value, 'hex') };
    case 'date':
      return { sql: (x) => cast(`UNIX_DATE(${x})`), read: Number };
    case 'time':
      return { sql: (x) => cast(`TIME_DIFF(${x}, TIME '00:00:00', MICROSECOND)`), read: Number };
    case 'timestamp':
      return type.zoned
        ? { sql: (x) => cast(`UNIX_MICROS(${x})`), read: BigInt }
        : { sql: (x) => cast(`DATETIME_DIFF(${x}, DATETIME '1970-01-01 00:00:00', MICROSECOND)`), read: BigInt };
  }
}

const SPECIAL: Readonly<Record<string, number>> = { inf: Infinity, '+inf': Infinity, '-inf': -Infinity, nan: NaN, '-nan': NaN };

function readFloat(value: string): number {
  return SPECIAL[value.toLowerCase()] ?? Number(value);
}

/**
 * SQL that is true when a column has this key cell. Decimals are compared as text without zeros behind: in the emulator a literal has three digits
 * behind the point.
 */
export function hasKeyCell(type: ColumnType, column: string, cell: Cell): string {
  if (type.kind !== 'decimal') return sameKeyCell(type, column, cellLiteral(type, cell));
  const shown = cast(column);
  const exact = formatDecimal(cell as bigint, type.scale);
  const trimmed = exact.includes('.') ? exact.replace(/\.?0*$/, '') : exact;
  return `IF(STRPOS(${shown}, '.') > 0, RTRIM(RTRIM(${shown}, '0'), '.'), ${shown}) = ${text(trimmed)}`;
}

/** A cell as an SQL expression of its column's type; of every kind but decimals. */
export function cellLiteral(type: ColumnType, cell: Cell): string {
  if (cell === null || cell === UNCHANGED) return 'NULL';
  switch (type.kind) {
    case 'bool':
      return cell === true ? 'TRUE' : 'FALSE';
    case 'int16':
    case 'int32':
      return int(cell as number);
    case 'int64':
      // The least of them has no literal of its own.
      return `CAST(${text(String(cell))} AS INT64)`;
    case 'float64':
      return `CAST(${text(String(cell))} AS FLOAT64)`;
    case 'decimal':
      throw new PipelineError('defect', 'a decimal is compared as text');
    case 'text':
    case 'json':
    case 'uuid':
      return text(cell as string);
    case 'bytes':
      return `FROM_HEX(${text(Buffer.from(cell as Uint8Array).toString('hex'))})`;
    case 'date':
    case 'time':
    case 'timestamp':
      return valueSql(type, String(cell));
  }
}
