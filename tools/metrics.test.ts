import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MetricDefinition } from '@nanosync/core';
import { METRICS } from '@nanosync/core';
import { expect, it } from 'vitest';

const PAGE = readFileSync(join(import.meta.dirname, '../docs/16-metrics.md'), 'utf8');
const ROW = /^\| `(nanosync_\w+)` \| (\w+) \|([^|]*)\| ([^|]+) \|$/gm;

it('every metric is on the page, with its kind, its labels and its meaning, and no other', () => {
  const documented = [...PAGE.matchAll(ROW)].map(([, name, kind, labels]) => `${name} ${kind} ${labels?.trim()}`);
  const known = Object.entries<MetricDefinition>(METRICS).map(([name, { kind, labels }]) => `${name} ${kind} ${labels.join(', ')}`);
  expect(documented.toSorted()).toEqual(known.toSorted());
});

it('names say what is counted: totals are counters, and nothing else is', () => {
  for (const [name, { kind }] of Object.entries<MetricDefinition>(METRICS))
    expect([name, kind === 'counter']).toEqual([name, name.endsWith('_total')]);
});
