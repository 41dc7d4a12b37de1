import { ORDERS } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { sqlTypeOf } from './column-types.ts';
import { scratch } from './test-support.ts';

test('a table that DuckDB would not rename is refused before anything is made, with the cure', async () => {
  await using file = scratch();
  const columns = ORDERS.columns.map(({ name, type }) => `"${name}" ${sqlTypeOf(type)}${name === 'id' ? ' PRIMARY KEY' : ''}`);
  await file.query('CREATE SCHEMA public');
  await file.query(`CREATE TABLE public.orders (${columns.join(', ')})`);
  await using sink = await file.open();
  expect(await sink.check('shop', [ORDERS.table], [ORDERS], true)).toEqual([]); // A primary key goes with it.
  await file.query('CREATE TABLE public.lines ("order" BIGINT REFERENCES public.orders(id))');
  expect(await sink.check('shop', [ORDERS.table], [ORDERS], true)).toEqual([
    {
      what: 'public.orders in DuckDB is what a foreign key of public.lines refers to, and DuckDB renames no such table.',
      cure: 'Make public.lines again without it: DuckDB drops no foreign key.',
    },
  ]);
  await file.query('DROP TABLE public.lines');
  await file.query('CREATE INDEX by_name ON public.orders (name)');
  expect((await sink.check('shop', [ORDERS.table], [ORDERS], true))[0]?.cure).toBe('Run: DROP INDEX "public"."by_name";');
});
