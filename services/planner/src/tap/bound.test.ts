import { expect, it } from 'vitest';
import { parseBound } from './bound.ts';

it('takes positions as status shows them', () => {
  const position = `${'575E220'.padStart(16, '0')}/${'5'.padStart(16, '0')}`;
  expect(parseBound('--from', '575E220+5', 0)).toEqual({ at: 'position', position });
});
