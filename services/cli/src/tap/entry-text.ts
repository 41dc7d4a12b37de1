import { instantText } from '@nanosync/api';
import type { Json, JsonRecord, TapEntry } from './entry.ts';

/** Longer values are cut in the human form; `--json` has all of them. */
const LONGEST = 60;

const OPERATIONS: Readonly<Record<string, string>> = { c: 'insert', u: 'update', d: 'delete', t: 'truncate' };

/** An entry as one line for people: when, what, which table, its content, and where it stands. */
export function entryText(entry: TapEntry): string {
  const time = instantText(entry.timestampMs).replace('T', ' ').replace('Z', '');
  const place = `[${entry.busPartition}@${entry.offset}]`;
  return [time, place.padEnd(9), ...words(entry)].filter((word) => word !== '').join(' ');
}

function words({ kind, table, fields }: TapEntry): readonly string[] {
  switch (kind) {
    case 'row':
      return ['row', `${table}`, record(fields.row), `partition=${fields.partition} batch=${fields.batch} attempt=${fields.attempt}`];
    case 'end':
      return ['end', `${table}`, pairs(fields, 'table')];
    case 'change':
      return changeWords(fields, `${table}`);
    case 'control':
      return [`${fields.event}`, `${table}`, pairs(fields, 'event', 'table', 'tsMs')];
    case 'task':
      return ['task', `${table}`, pairs(fields, 'table', 'pipeline', 'range'), `range=${cut(fields.range)}`];
    case 'quarantined':
      return ['quarantined', `${table}`, pairs(fields, 'table', 'payload', 'reason'), `reason: ${fields.reason}`];
    case 'undecodable':
      return ['undecodable', `${fields.bytes} bytes:`, `${fields.reason}`];
  }
}

function changeWords(fields: JsonRecord, table: string): readonly string[] {
  const unchanged = fields.unchanged as readonly string[];
  return [
    OPERATIONS[`${fields.op}`] ?? `${fields.op}`,
    table,
    fields.after === null ? record(known(fields.before)) : record(fields.after, unchanged),
    fields.after !== null && fields.before !== null ? `before ${record(known(fields.before))}` : '',
    fields.rowless === true ? 'rowless' : '',
    `position=${fields.position} session=${fields.session} epoch=${fields.epoch} tx=${(fields.source as JsonRecord).txId}`,
  ];
}

/** A row as `{id: 1, name: "a"}`; columns that the log left out say so instead of null. */
function record(row: Json | undefined, unchanged: readonly string[] = []): string {
  if (row === null || row === undefined) return '';
  const cells = Object.entries(row as JsonRecord).map(([name, cell]) => `${name}: ${unchanged.includes(name) ? '(unchanged)' : cut(cell)}`);
  return `{${cells.join(', ')}}`;
}

/** A before image has only the key in most cases; the null of the other columns says nothing. */
function known(before: Json | undefined): Json {
  if (before === null) return null;
  return Object.fromEntries(Object.entries(before as JsonRecord).filter(([, cell]) => cell !== null));
}

function pairs(fields: JsonRecord, ...without: readonly string[]): string {
  const shown = Object.entries(fields).filter(([name, value]) => !without.includes(name) && value !== '');
  return shown.map(([name, value]) => `${name}=${value}`).join(' ');
}

/** JSON text, which also keeps control characters of a source off the terminal. */
function cut(value: Json | undefined): string {
  const text = JSON.stringify(value) ?? '';
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}…`;
}
