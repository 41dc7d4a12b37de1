import { test } from 'vitest';
import { sharedServer } from './fixture.ts';
import { expectNewEpoch } from './rewrites.ts';

const server = sharedServer();

test.for([
  ['CLUSTER', 'CLUSTER orders USING orders_pkey'],
  ['a change of all values', 'ALTER TABLE orders ALTER total TYPE numeric(12,2) USING total + 1'],
] as const)('%s of a table that is partly read: the plan is void and a new epoch is equal', ([, statement]) =>
  expectNewEpoch(server(), statement));
