import type { CellValue, ColumnType } from '@nanosync/core';
import { DATE_INFINITY, formatDecimal, TIMESTAMP_INFINITY, unreachable } from '@nanosync/core';

/** What a cell is in JSON. */
export type CellJson = string | number | boolean | null;

const DAY_MICROS = 86_400_000_000n;

/**
 * A cell as JSON can say it without loss: integers of 64 bits, decimals and times as text, bytes as base64, doubles that JSON
 * has no number for by their name.
 */
export function cellJson(type: ColumnType, value: CellValue | null): CellJson {
  if (value === null) return null;
  switch (type.kind) {
    case 'bool':
    case 'int16':
    case 'int32':
      return value as boolean | number;
    case 'int64':
      return String(value);
    case 'float64':
      return Number.isFinite(value) && !Object.is(value, -0) ? (value as number) : Object.is(value, -0) ? '-0' : String(value);
    case 'decimal':
      return formatDecimal(value as bigint, type.scale);
    case 'text':
    case 'json':
    case 'uuid':
      return value as string;
    case 'bytes':
      return Buffer.from(value as Uint8Array).toString('base64');
    case 'date':
      return dateText(value as number);
    case 'time':
      return timeText(BigInt(value as number));
    case 'timestamp':
      return timestampText(value as bigint, type.zoned);
    default:
      return unreachable(type);
  }
}

/** Milliseconds since 1970 as `2026-01-31T12:34:56.789Z`. */
export function instantText(ms: number): string {
  const [seconds, fraction = ''] = timestampText(BigInt(ms) * 1000n, false).split('.');
  return `${seconds}.${fraction.slice(0, 3).padEnd(3, '0')}Z`;
}

function dateText(days: number): string {
  if (days === DATE_INFINITY) return 'infinity';
  if (days === -DATE_INFINITY) return '-infinity';
  return civilText(BigInt(days));
}

function timestampText(micros: bigint, zoned: boolean): string {
  if (micros === TIMESTAMP_INFINITY) return 'infinity';
  if (micros === -TIMESTAMP_INFINITY) return '-infinity';
  const rest = ((micros % DAY_MICROS) + DAY_MICROS) % DAY_MICROS;
  return `${civilText((micros - rest) / DAY_MICROS)}T${timeText(rest)}${zoned ? 'Z' : ''}`;
}

/** `hh:mm:ss`, with six digits of a second where they are not zero. */
function timeText(micros: bigint): string {
  const seconds = micros / 1_000_000n;
  const fraction = micros % 1_000_000n;
  const parts = [seconds / 3600n, (seconds / 60n) % 60n, seconds % 60n].map((part) => String(part).padStart(2, '0'));
  return parts.join(':') + (fraction === 0n ? '' : `.${String(fraction).padStart(6, '0')}`);
}

/** Days since 1970 as a date of the proleptic Gregorian calendar; year 0 is 1 BC. JavaScript's Date ends at year 275760. */
function civilText(days: bigint): string {
  const shifted = days + 719_468n;
  const era = (shifted >= 0n ? shifted : shifted - 146_096n) / 146_097n;
  const ofEra = shifted - era * 146_097n;
  const yearOfEra = (ofEra - ofEra / 1460n + ofEra / 36_524n - ofEra / 146_096n) / 365n;
  const ofYear = ofEra - (365n * yearOfEra + yearOfEra / 4n - yearOfEra / 100n);
  const fromMarch = (5n * ofYear + 2n) / 153n;
  const day = ofYear - (153n * fromMarch + 2n) / 5n + 1n;
  const month = fromMarch < 10n ? fromMarch + 3n : fromMarch - 9n;
  const year = yearOfEra + era * 400n + (month <= 2n ? 1n : 0n);
  const yearText = `${year < 0n ? '-' : ''}${String(year < 0n ? -year : year).padStart(4, '0')}`;
  return `${yearText}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`;
}
