import type pg from 'pg';

/** Tables of the scenarios' shop, in the order of the pipelines file. */
export const TABLES = ['public.orders', 'public.docs', 'public.lines', 'public.scratch'] as const;

/** Rows that a partition is planned with. */
export const TARGET_ROWS = 1000;

/** Rows to begin with. Order ids and doc ids count from 1. */
export const ROWS = { orders: 6000, docs: 900, lines: 3000, scratch: 400 } as const;

/** A large text is stored as it is and out of line, so that an update that leaves it alone does not carry it in the log. */
const DDL = `
  CREATE TABLE public.orders (id integer PRIMARY KEY, status text NOT NULL, total numeric(12,2), note text, placed_at timestamptz);
  CREATE TABLE public.docs (id integer PRIMARY KEY, title text, body text, n integer);
  ALTER TABLE public.docs ALTER COLUMN body SET STORAGE EXTERNAL;
  CREATE TABLE public.lines (code text, line integer, quantity integer, PRIMARY KEY (code, line));
  CREATE TABLE public.scratch (id integer PRIMARY KEY, what text)`;

const FILL = `
  INSERT INTO public.orders SELECT i, 'new', i / 100.0, CASE WHEN i % 4 = 0 THEN NULL ELSE md5(i::text) END, timestamptz '2024-01-01' + i * interval '61.000037 s'
    FROM generate_series(1, ${ROWS.orders}) AS i;
  INSERT INTO public.docs SELECT i, 'doc ' || i, (SELECT string_agg(md5(i || ':' || part), '') FROM generate_series(1, 70 + i % 40) AS part), 0
    FROM generate_series(1, ${ROWS.docs}) AS i;
  INSERT INTO public.lines SELECT 'c' || i / 3, i % 3, i % 9 FROM generate_series(0, ${ROWS.lines - 1}) AS i;
  INSERT INTO public.scratch SELECT i, 'scratch ' || i FROM generate_series(1, ${ROWS.scratch}) AS i`;

/** Makes and fills the tables, with statistics. */
export async function fillShop(client: pg.Client): Promise<void> {
  await client.query(DDL);
  await client.query(FILL);
  await client.query('VACUUM (ANALYZE)');
}
