import type { Cell, ColumnType } from '@nanosync/core';
import { UNCHANGED } from '@nanosync/core';

/** The first and the last day, second and microsecond that BigQuery's types hold: the years 1 to 9999. */
export const FIRST_DAY = -719_162;
export const LAST_DAY = 2_932_896;
export const FIRST_MICROS = -62_135_596_800_000_000n;
export const LAST_MICROS = 253_402_300_799_999_999n;
/** The last microsecond of a day: TIME has no 24:00:00. */
export const LAST_OF_DAY = 86_399_999_999;

const OUT_OF_RANGE = 'the value is out of the range of the BigQuery type';

/** Why BigQuery's type cannot hold a cell, or undefined when it can. Says nothing about the value itself: it may be printed. */
export function notHeld(type: ColumnType, cell: Cell): string | undefined {
  if (cell === null || cell === UNCHANGED) return undefined;
  switch (type.kind) {
    case 'bool':
    case 'float64':
    case 'text':
    case 'json':
    case 'uuid':
    case 'bytes':
      return undefined;
    case 'int16':
    case 'int32':
      return Number.isSafeInteger(cell) ? undefined : OUT_OF_RANGE;
    case 'date':
      return within(cell as number, FIRST_DAY, LAST_DAY);
    case 'time':
      return within(cell as number, 0, LAST_OF_DAY);
    case 'int64':
      return BigInt.asIntN(64, cell as bigint) === cell ? undefined : OUT_OF_RANGE;
    case 'timestamp':
      return (cell as bigint) >= FIRST_MICROS && (cell as bigint) <= LAST_MICROS ? undefined : OUT_OF_RANGE;
    case 'decimal': {
      const limit = 10n ** BigInt(type.precision);
      return (cell as bigint) < limit && (cell as bigint) > -limit ? undefined : OUT_OF_RANGE;
    }
  }
}

function within(cell: number, low: number, high: number): string | undefined {
  return cell >= low && cell <= high ? undefined : OUT_OF_RANGE;
}
