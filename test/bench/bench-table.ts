import type pg from 'pg';

/** The measured table: ten mixed columns, about 190 bytes a row. */
export const BENCH_COLUMNS = `id bigint PRIMARY KEY, quantity integer NOT NULL, price numeric(12,2) NOT NULL, title text NOT NULL,
  sold_at timestamptz NOT NULL, gift boolean NOT NULL, attributes jsonb, reference uuid, weight double precision, note text`;

/** Row `i` of it: text of 20 to 60 characters, a small document, a note in three rows of four. */
export const BENCH_VALUES = `i, (i % 100000)::int, (i % 99999991) / 100.0, left(md5(i::text) || md5((i + 1)::text), 20 + (i % 41)::int),
  timestamptz '2024-01-01' + i * interval '1.000007 seconds', i % 3 = 0, jsonb_build_object('size', i % 50, 'colour', 'red'),
  md5(i::text)::uuid, sqrt(i::double precision), CASE WHEN i % 4 = 0 THEN NULL ELSE 'note of row ' || i END`;

/** Makes a table of `rows` rows, with statistics. */
export async function makeBenchTable(client: pg.Client, table: string, rows: number): Promise<void> {
  await client.query(`CREATE TABLE ${table} (${BENCH_COLUMNS})`);
  await client.query(`INSERT INTO ${table} SELECT ${BENCH_VALUES} FROM generate_series(1::bigint, ${rows}) AS i`);
  await client.query(`VACUUM (ANALYZE, FREEZE) ${table}`);
}

/** Inserts rows, a thousand a transaction. */
export async function insertInTransactions(client: pg.Client, table: string, from: number, rows: number): Promise<void> {
  await client.query(`DO $$ BEGIN
    FOR lowest IN ${from}..${from + rows - 1} BY 1000 LOOP
      INSERT INTO ${table} SELECT ${BENCH_VALUES} FROM generate_series(lowest::bigint, least(lowest + 999, ${from + rows - 1})) AS i;
      COMMIT;
    END LOOP;
  END $$`);
}
