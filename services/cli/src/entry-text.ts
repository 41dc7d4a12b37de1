import { plainText } from './plain-text.ts';

/** Any value of JSON. */
type Json = null | boolean | number | string | readonly Json[] | JsonRecord;
type JsonRecord = { readonly [name: string]: Json };

/** One entry as the server sends it: where it was found, and the fields of its kind. */
export type Entry = JsonRecord & {
  readonly kind: 'row' | 'end' | 'change' | 'control' | 'task' | 'quarantined' | 'undecodable';
  readonly topic: string;
  readonly bus_partition: number;
  readonly offset: number;
  readonly timestamp: string;
};

/** Longer values are cut in the human form; `--json` has all of them. */
const LONGEST = 60;

const OPERATIONS: Readonly<Record<string, string>> = { c: 'insert', u: 'update', d: 'delete', t: 'truncate' };

/** An entry as one line for people: when, what, which table, its content, and where it stands. */
export function entryText({ kind, topic: _, bus_partition: partition, offset, timestamp, ...fields }: Entry): string {
  const time = timestamp.replace('T', ' ').replace('Z', '');
  const place = `[${partition}@${offset}]`;
  return plainText([time, place.padEnd(9), ...words(kind, fields)].filter((word) => word !== '').join(' '));
}

function words(kind: Entry['kind'], fields: JsonRecord): readonly string[] {
  const { table } = fields;
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

/** JSON text, cut. */
function cut(value: Json | undefined): string {
  const text = JSON.stringify(value) ?? '';
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}…`;
}
