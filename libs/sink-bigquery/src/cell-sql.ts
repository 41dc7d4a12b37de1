import type { ColumnType } from '@nanosync/core';
import { FIRST_DAY, FIRST_MICROS, LAST_DAY, LAST_MICROS, LAST_OF_DAY } from './limits.ts';

/**
 * SQL that makes a staged cell the value of its column. It fails for no value, whatever the order in which BigQuery evaluates a statement:
 * what {@link isRefused} refuses becomes NULL here.
 */
export function valueSql(type: ColumnType, staged: string): string {
  switch (type.kind) {
    case 'date':
      return `DATE_FROM_UNIX_DATE(${guarded(staged, FIRST_DAY, LAST_DAY)})`;
    case 'time':
      return `TIME_ADD(TIME '00:00:00', INTERVAL ${guarded(staged, 0, LAST_OF_DAY)} MICROSECOND)`;
    case 'timestamp': {
      // The emulator's TIMESTAMP_MICROS goes through a double, which moves the last microsecond of the year 9999 out of it.
      const seconds = `TIMESTAMP_SECONDS(DIV(${guarded(staged, FIRST_MICROS, LAST_MICROS)}, 1000000))`;
      const zoned = `TIMESTAMP_ADD(${seconds}, INTERVAL MOD(${staged}, 1000000) MICROSECOND)`;
      return type.zoned ? zoned : `DATETIME(${zoned}, 'UTC')`;
    }
    case 'text':
    case 'json':
      return `SAFE_CONVERT_BYTES_TO_STRING(${staged})`;
    default:
      return staged;
  }
}

/** SQL that is true for a staged cell that the column's type cannot hold; undefined when it holds all. */
export function isRefused(type: ColumnType, staged: string): string | undefined {
  switch (type.kind) {
    case 'date':
      return outside(staged, FIRST_DAY, LAST_DAY);
    case 'time':
      return outside(staged, 0, LAST_OF_DAY);
    case 'timestamp':
      return outside(staged, FIRST_MICROS, LAST_MICROS);
    case 'text':
    case 'json':
      // BigQuery's cast refuses what is not UTF-8; the other function would put U+FFFD in its place.
      return `(${staged} IS NOT NULL AND (SAFE_CAST(${staged} AS STRING) IS NULL OR SAFE_CONVERT_BYTES_TO_STRING(${staged}) IS NULL))`;
    default:
      return undefined;
  }
}

/**
 * SQL that is true when the key cells of two rows are the same. Key cells are never null; a NaN is the same key as another. All of it are
 * equalities between one row's expression and the other's: BigQuery refuses a MERGE that inserts and has none (an outer join).
 */
export function sameKeyCell(type: ColumnType, one: string, other: string): string {
  if (type.kind !== 'float64') return `${one} = ${other}`;
  return `IF(IS_NAN(${one}), 0, ${one}) = IF(IS_NAN(${other}), 0, ${other}) AND IS_NAN(${one}) = IS_NAN(${other})`;
}

function guarded(staged: string, low: number | bigint, high: number | bigint): string {
  return `IF(${staged} BETWEEN ${low} AND ${high}, ${staged}, NULL)`;
}

function outside(staged: string, low: number | bigint, high: number | bigint): string {
  return `IFNULL(${staged} NOT BETWEEN ${low} AND ${high}, FALSE)`;
}
