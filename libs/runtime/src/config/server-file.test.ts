import { expect, it } from 'vitest';
import { DEFAULT_SERVER_SETTINGS, parseServerSettings } from './server-file.ts';
import { parseDuration, parseSize } from './units.ts';

it('reads what it says and keeps the defaults of what it leaves out', () => {
  const settings = parseServerSettings('keep: 7d\nmemory_limit: 1GiB\nlog_format: json\n', 'server.yaml');
  expect(settings).toEqual({ ...DEFAULT_SERVER_SETTINGS, keepMs: 7 * 86_400_000, memoryLimitBytes: 2 ** 30, logFormat: 'json' });
  expect(Object.isFrozen(settings)).toBe(true);
  expect(DEFAULT_SERVER_SETTINGS.keepMs).toBe(24 * 3_600_000);
});

it('lists everything that is wrong', () => {
  const text = 'keep: 7\nmemory_limt: 1GB\nbus_partitions: 0\ndata_directory: ""\nlog_format: pretty\n';
  expect(() => parseServerSettings(text, 's.yaml')).toThrow(
    [
      's.yaml:1: keep must be text',
      's.yaml:2: memory_limt is not a known key; did you mean memory_limit?',
      's.yaml:3: bus_partitions must be at least 1',
      's.yaml:4: data_directory is empty',
      's.yaml:5: log_format "pretty" is not known; known are human, json',
    ].join('\n'),
  );
  expect(() => parseServerSettings('keep: soon\nmemory_limit: lots', 's.yaml')).toThrow(/write it like 90s[\s\S]*write it like 512MB/);
});

it('knows units', () => {
  expect(['500ms', '90s', '15m', '24h', '1.5 h', '7d'].map(parseDuration)).toEqual([
    500, 90_000, 900_000, 86_400_000, 5_400_000, 604_800_000,
  ]);
  expect(['1kb', '512MB', '1GiB', '2 TB'].map(parseSize)).toEqual([1000, 512_000_000, 2 ** 30, 2e12]);
  for (const bad of ['', '5', 'h', '-1h', '1x', '1 h h']) expect(parseDuration(bad)).toBeUndefined();
});
