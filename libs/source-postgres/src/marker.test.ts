import type { Marker } from '@nanosync/core';
import { tableIdOf } from '@nanosync/core';
import { expect, test } from 'vitest';
import { parseMarker } from './marker.ts';

const table = tableIdOf('public', 'a.b');

test.each<Marker>([
  { kind: 'generation', pipeline: 'p', table, epoch: 'e' },
  { kind: 'consistency', pipeline: 'p', table, epoch: 'e' },
  { kind: 'watermark', pipeline: 'p' },
])('a marker of kind $kind comes back as written', (marker) => {
  expect(parseMarker(Buffer.from(JSON.stringify(marker)), 'p')).toEqual(marker);
});

test.each([
  '',
  'null',
  '1',
  '"p"',
  '[]',
  '{',
  '{"pipeline":"q","kind":"watermark"}',
  '{"pipeline":"p","kind":"other"}',
  '{"pipeline":"p","kind":"generation","table":"a.b"}',
  '{"pipeline":"p","kind":"generation","table":"ab","epoch":"e"}',
  '{"pipeline":"p","kind":"generation","table":1,"epoch":"e"}',
])('%j is ignored', (text) => {
  expect(parseMarker(Buffer.from(text), 'p')).toBeUndefined();
});
