import type { Log, LogFields } from '@nanosync/core';
import { pino } from 'pino';

/** Names of the levels, from the most talkative. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
/** `human` for people at a terminal, `json` for collectors. */
export type LogFormat = 'human' | 'json';

/** Settings of {@link createLog}. */
export interface LogOptions {
  readonly format: LogFormat;
  readonly level?: LogLevel;
  /** Takes one line with its line end. */
  readonly write: (line: string) => void;
  /** Runs over the message and every text field. */
  readonly redact?: (text: string) => string;
  /** Gets each line as data, too, after redaction. Must neither throw nor wait. */
  readonly also?: (entry: LogEntry) => void;
}

/** One line as data. */
export interface LogEntry {
  readonly level: LogLevel;
  readonly msg: string;
  /** What this line says. */
  readonly fields: LogFields;
  /** What all lines of its service or pipeline carry. */
  readonly bound: LogFields;
}

type WriteEntry = (level: LogLevel, message: string, fields: LogFields, bound: LogFields) => void;

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };
const SHORT: Record<LogLevel, string> = { debug: 'DBG', info: 'INF', warn: 'WRN', error: 'ERR' };

/** The format that was asked for, or the one that fits where the output goes. */
export function logFormatFor(asked: LogFormat | undefined, isTerminal: boolean): LogFormat {
  return asked ?? (isTerminal ? 'human' : 'json');
}

/** A log. Messages are constant and lower-case, what varies is in fields; no line ever holds a secret. */
export function createLog(options: LogOptions): Log {
  const redact = options.redact ?? ((text: string) => text);
  const least = RANK[options.level ?? 'info'];
  const write = options.format === 'json' ? jsonWriter(options.write) : humanWriter(options.write);
  return logOver((level, message, fields, bound) => {
    if (RANK[level] < least) return;
    const entry = { level, msg: redact(message), fields: redactFields(fields, redact), bound: redactFields(bound, redact) };
    write(level, entry.msg, entry.fields, entry.bound);
    options.also?.(entry);
  }, {});
}

/** One line as people read it: `INF pipeline resuming name=orders-pipeline`. */
export function humanLine(level: LogLevel, message: string, fields: LogFields): string {
  let line = `${SHORT[level]} ${message}`;
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) line += ` ${name}=${humanValue(value)}`;
  return line;
}

/** True for a level that is not below another. */
export function isAtLeast(level: LogLevel, least: LogLevel): boolean {
  return RANK[level] >= RANK[least];
}

function logOver(write: WriteEntry, bound: LogFields): Log {
  const at = (level: LogLevel) => (message: string, fields?: LogFields) => write(level, message, fields ?? {}, bound);
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    with: (fields) => logOver(write, { ...bound, ...fields }),
  };
}

/** Of what all lines of a service carry, people need this only where something is wrong; it would hide what a line says. */
const FOR_COLLECTORS = ['service', 'pipeline'];

function humanWriter(write: (line: string) => void): WriteEntry {
  return (level, msg, fields, bound) => write(`${humanEntry({ level, msg, fields, bound })}\n`);
}

/** An entry as the human format prints it, without its line end. */
export function humanEntry({ level, msg, fields, bound }: LogEntry): string {
  const kept = Object.entries(bound).filter(([name]) => !FOR_COLLECTORS.includes(name));
  const rest = RANK[level] < RANK.warn ? [] : Object.entries(bound).filter(([name]) => FOR_COLLECTORS.includes(name) && !(name in fields));
  return humanLine(level, msg, { ...Object.fromEntries(kept), ...fields, ...Object.fromEntries(rest) });
}

function jsonWriter(write: (line: string) => void): WriteEntry {
  const logger = pino(
    { level: 'debug', base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    { write },
  );
  return (level, message, fields, bound) => logger[level]({ ...bound, ...fields }, message);
}

function redactFields(fields: LogFields, redact: (text: string) => string): LogFields {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, typeof value === 'string' ? redact(value) : value]));
}

function humanValue(value: string | number | boolean | null): string {
  const text = String(value);
  return text === '' || /[\s"=]|[^\x20-\x7e\u00a0-\uffff]/.test(text) ? JSON.stringify(text) : text;
}
