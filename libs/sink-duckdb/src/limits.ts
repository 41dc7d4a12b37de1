import type { Cell, ColumnType } from '@nanosync/core';
import { UNCHANGED } from '@nanosync/core';

/** DuckDB's first timestamp that is a date, in microseconds; what is below, except minus infinity, is none. */
export const MIN_TIMESTAMP = -9_223_372_022_400_000_000n;
/** Infinity; its negative is minus infinity. */
export const MAX_TIMESTAMP = 9_223_372_036_854_775_807n;
/** Microseconds of a day: TIME holds 24:00:00. */
export const DAY_MICROS = 86_400_000_000;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Why DuckDB's type cannot hold a cell, or undefined when it can. Says nothing about the value itself: it may be printed. */
export function notHeld(type: ColumnType, cell: Cell): string | undefined {
  if (cell === null || cell === UNCHANGED) return undefined;
  switch (type.kind) {
    case 'bool':
    case 'float64':
    case 'text':
    case 'json':
    case 'bytes':
      return undefined;
    case 'int16':
      return within(cell, -32_768, 32_767);
    case 'int32':
      return within(cell, -2_147_483_648, 2_147_483_647);
    case 'date':
      return within(cell, -2_147_483_647, 2_147_483_647);
    case 'time':
      return within(cell, 0, DAY_MICROS);
    case 'int64':
      return BigInt.asIntN(64, cell as bigint) === cell ? undefined : OUT_OF_RANGE;
    case 'timestamp':
      return (cell as bigint) <= MAX_TIMESTAMP && ((cell as bigint) >= MIN_TIMESTAMP || cell === -MAX_TIMESTAMP) ? undefined : OUT_OF_RANGE;
    case 'decimal': {
      const limit = 10n ** BigInt(type.precision);
      return (cell as bigint) < limit && (cell as bigint) > -limit ? undefined : OUT_OF_RANGE;
    }
    case 'uuid':
      return UUID.test(cell as string) ? undefined : NOT_A_UUID;
  }
}

/** Reasons of a refused cell. */
export const OUT_OF_RANGE = 'the value is out of the range of the DuckDB type';
export const NOT_A_UUID = 'the value is not a UUID';
export const NOT_UTF8 = 'the text is not valid UTF-8';

function within(cell: Cell, low: number, high: number): string | undefined {
  return (cell as number) >= low && (cell as number) <= high ? undefined : OUT_OF_RANGE;
}
