import type { Cell, ColumnType } from '@nanosync/core';
import { DATE_INFINITY, formatDecimal, PipelineError, TIMESTAMP_INFINITY, UNCHANGED } from '@nanosync/core';

const DAY_US = 86_400_000_000n;
/** Days from 0000-03-01 (proleptic Gregorian) to 1970-01-01, and those of 400 years. */
const EPOCH_DAYS = 719_468;
const ERA_DAYS = 146_097;

/** A cell as PostgreSQL reads it: the opposite of `cellParser`. Never null: it is for keys. */
export function cellText(type: ColumnType, cell: Cell): string {
  if (cell === null || cell === undefined || cell === UNCHANGED) throw new PipelineError('defect', 'a key cell has no value');
  switch (type.kind) {
    case 'bool':
      return cell === true ? 't' : 'f';
    case 'decimal':
      return formatDecimal(cell as bigint, type.scale);
    case 'float64':
      return Object.is(cell, -0) ? '-0' : String(cell);
    case 'bytes':
      return `\\x${Buffer.from(cell as Uint8Array).toString('hex')}`;
    case 'date':
      if (cell === DATE_INFINITY || cell === -DATE_INFINITY) return cell > 0 ? 'infinity' : '-infinity';
      return dated(cell as number, '');
    case 'time':
      return timeText(BigInt(cell as number));
    case 'timestamp':
      return timestampText(cell as bigint, type.zoned ? '+00' : '');
    default:
      return String(cell);
  }
}

function timestampText(micros: bigint, zone: string): string {
  if (micros === TIMESTAMP_INFINITY || micros === -TIMESTAMP_INFINITY) return micros > 0n ? 'infinity' : '-infinity';
  const time = ((micros % DAY_US) + DAY_US) % DAY_US;
  return dated(Number((micros - time) / DAY_US), ` ${timeText(time)}${zone}`);
}

function timeText(micros: bigint): string {
  const two = (value: bigint) => String(value).padStart(2, '0');
  const seconds = micros / 1_000_000n;
  const fraction = String(micros % 1_000_000n).padStart(6, '0');
  return `${two(seconds / 3600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}.${fraction}`;
}

/** The date that is so many days from 1970-01-01, then `rest`; years before the first are counted backwards. */
function dated(days: number, rest: string): string {
  const shifted = days + EPOCH_DAYS;
  const era = Math.floor(shifted / ERA_DAYS);
  const dayOfEra = shifted - era * ERA_DAYS;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const march = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * march + 2) / 5) + 1;
  const month = march < 10 ? march + 3 : march - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const two = (value: number) => String(value).padStart(2, '0');
  const counted = String(year > 0 ? year : 1 - year).padStart(4, '0');
  return `${counted}-${two(month)}-${two(day)}${rest}${year > 0 ? '' : ' BC'}`;
}
