import { describe, expect, it } from 'vitest';
import type { LogOptions } from './log.ts';
import { createLog, logFormatFor } from './log.ts';

function logTo(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  return { lines, log: createLog({ format: 'human', write: (line) => lines.push(line), ...options }) };
}

describe('the human format', () => {
  it('prints the lines of the spec', () => {
    const { log, lines } = logTo();
    log.info('pipeline resuming', { name: 'orders-pipeline' });
    log.info('snapshot in progress', { table: 'public.orders', completed_partitions: '34/128' });
    log.with({ table: 'public.orders' }).info('snapshotting table', { partition: '35/128' });
    expect(lines).toEqual([
      'INF pipeline resuming name=orders-pipeline\n',
      'INF snapshot in progress table=public.orders completed_partitions=34/128\n',
      'INF snapshotting table table=public.orders partition=35/128\n',
    ]);
  });

  it('says of which service and pipeline a line is only where something is wrong', () => {
    const { log, lines } = logTo();
    const bound = log.with({ service: 'planner' }).with({ pipeline: 'p' });
    bound.info('table live', { table: 't' });
    bound.warn('planner waits', { pipeline: 'p', err: 'away' });
    expect(lines).toEqual(['INF table live table=t\n', 'WRN planner waits pipeline=p err=away service=planner\n']);
  });

  it('quotes what would be read wrongly and leaves out what is not there', () => {
    const { log, lines } = logTo({ level: 'debug' });
    log.error('failed', { err: 'two words', empty: '', none: null, gone: undefined, eq: 'a=b', line: 'a\nb', n: 0, ok: true });
    log.warn('w');
    log.debug('d');
    expect(lines).toEqual(['ERR failed err="two words" empty="" none=null eq="a=b" line="a\\nb" n=0 ok=true\n', 'WRN w\n', 'DBG d\n']);
  });
});

it('prints JSON with a level word, a time and the fields', () => {
  const { log, lines } = logTo({ format: 'json' });
  log.with({ pipeline: 'p' }).info('pipeline resuming', { name: 'orders' });
  const entry = JSON.parse(lines[0] as string) as Record<string, unknown>;
  expect(entry).toMatchObject({ level: 'info', msg: 'pipeline resuming', pipeline: 'p', name: 'orders' });
  expect(entry.time).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
  expect(Object.keys(entry)).toEqual(['level', 'time', 'pipeline', 'name', 'msg']);
});

it.each(['human', 'json'] as const)('keeps the level and hides secrets in %s', (format) => {
  const { log, lines } = logTo({ format, redact: (text) => text.replaceAll('hunter2', '***') });
  log.debug('not shown');
  log.with({ dsn: 'u:hunter2@h' }).warn('could not use hunter2', { err: 'bad hunter2' });
  expect(lines).toHaveLength(1);
  expect(lines[0]).not.toContain('hunter2');
});

it('chooses the format by where the output goes', () => {
  expect([logFormatFor(undefined, true), logFormatFor(undefined, false), logFormatFor('human', false)]).toEqual(['human', 'json', 'human']);
});
