import type pg from 'pg';

/** One table of the shop: how it is made, how many rows it starts with, and the rows numbered `i` of a series. */
export interface ShopTable {
  readonly name: string;
  readonly ddl: string;
  readonly key: string;
  /** Rows to start with, of the `--rows` of the wide table. */
  readonly rows: (wide: number) => number;
  /** A select list for row `i`. */
  readonly values: string;
}

const orders: ShopTable = {
  name: 'public.orders',
  ddl: `CREATE TABLE public.orders (
    id bigint NOT NULL, customer_id integer, status text NOT NULL, channel smallint, placed_at timestamptz NOT NULL,
    updated_at timestamptz, local_time timestamp, ship_on date, ship_slot time, total numeric(12,2) NOT NULL, tax numeric(14,4),
    exact_rate numeric, weight double precision, currency text, gift boolean, tracking uuid, address jsonb, payload json,
    signature bytea, note text)`,
  key: 'id',
  rows: (wide) => wide,
  values: `i, (i * 7919) % 50000 + 1, (ARRAY['new','paid','packed','sent','returned'])[i % 5 + 1], (i % 7)::smallint,
    timestamptz '2024-01-01' + (i % 10000000) * interval '61.000037 seconds', NULL, timestamp '2024-01-01' + (i % 10000000) * interval '61.000041 seconds',
    date '2024-01-02' + (i % 900)::int, time '08:00' + (i % 36000) * interval '1.000003 seconds', (i % 99991) / 100.0, (i % 7919) / 10000.0,
    CASE WHEN i % 3 = 0 THEN NULL ELSE i / 7.0 END, sqrt(i::double precision), 'EUR', i % 11 = 0, gen_random_uuid(),
    jsonb_build_object('street', 'Ring ' || i % 977, 'zip', i % 90000 + 10000), ('{"v": 1.10,  "n": ' || i || '}')::json,
    decode(lpad(to_hex(i), 16, '0'), 'hex'), CASE WHEN i % 4 = 0 THEN NULL ELSE 'note ' || md5(i::text) END`,
};

const orderItems: ShopTable = {
  name: 'public.order_items',
  ddl: `CREATE TABLE public.order_items (
    order_id bigint NOT NULL, line_no integer NOT NULL, product_id integer NOT NULL, quantity integer NOT NULL,
    unit_price numeric(12,2) NOT NULL, packed boolean, picked_at timestamptz)`,
  key: 'order_id, line_no',
  rows: (wide) => Math.ceil(wide * 0.6),
  values: `i / 3 + 1, (i % 3)::int, (i % 4999 + 1)::int, (i % 9 + 1)::int, (i % 9973) / 100.0, i % 2 = 0,
    CASE WHEN i % 5 = 0 THEN NULL ELSE timestamptz '2024-02-01' + (i % 10000000) * interval '3.000001 seconds' END`,
};

const customers: ShopTable = {
  name: 'public.customers',
  ddl: `CREATE TABLE public.customers (
    id integer NOT NULL, email text NOT NULL, full_name text, born date, loyalty smallint, active boolean NOT NULL,
    credit numeric(12,2), token uuid, profile jsonb, joined_at timestamptz, wakes_at time, score double precision)`,
  key: 'id',
  rows: (wide) => Math.ceil(wide / 10),
  values: `i::int, 'user' || i || '@example.org', 'Zoë Ünal ' || md5(i::text), date '1950-01-01' + (i % 20000)::int, (i % 100)::smallint,
    i % 10 <> 0, (i % 100003 - 50000) / 100.0, gen_random_uuid(), jsonb_build_object('lang', 'de', 'tags', ARRAY[i % 5, i % 3]),
    timestamptz '2020-01-01' + (i % 40000) * interval '1 hour 0.000007 seconds', time '05:30' + (i % 9000) * interval '1 second', random() * 1e6`,
};

/** The large text is stored as it is and out of line, so an update that leaves it alone does not carry it in the log. */
const products: ShopTable = {
  name: 'public.products',
  ddl: `CREATE TABLE public.products (
    id integer NOT NULL, sku text NOT NULL, name text, price numeric(12,2) NOT NULL, stock integer NOT NULL,
    description text NOT NULL, specs jsonb, updated_at timestamptz);
    ALTER TABLE public.products ALTER COLUMN description SET STORAGE EXTERNAL`,
  key: 'id',
  rows: (wide) => Math.ceil(wide / 100),
  values: `i::int, 'SKU-' || i, 'Product ' || i, (i % 99989) / 100.0, (i % 500)::int,
    (SELECT string_agg(md5(i || ':' || part), '') FROM generate_series(1, 80 + i % 160) AS part),
    jsonb_build_object('weight', i % 900, 'colour', 'blue'), NULL`,
};

const countries: ShopTable = {
  name: 'public.countries',
  ddl: 'CREATE TABLE public.countries (code text NOT NULL, name text NOT NULL, vat numeric(4,2), in_eu boolean)',
  key: 'code',
  rows: () => 200,
  values: `chr(65 + (i / 26)::int) || chr(65 + (i % 26)::int), 'Land ' || i, (i % 2700) / 100.0, i % 7 = 0`,
};

/** The shop: a wide table, one with a key of two columns, one with large text out of line, one between, and a small one. */
export const SHOP: readonly ShopTable[] = [orders, orderItems, customers, products, countries];

/** Fills one table on a connection of its own; the key is added last, which is faster. Statistics are brought up to date. */
export async function fillTable(client: pg.Client, table: ShopTable, wide: number): Promise<number> {
  const rows = table.rows(wide);
  await client.query(table.ddl);
  await client.query(`INSERT INTO ${table.name} SELECT ${table.values} FROM generate_series(1::bigint, ${rows}) AS i`);
  await client.query(`ALTER TABLE ${table.name} ADD PRIMARY KEY (${table.key})`);
  await client.query(`VACUUM (ANALYZE) ${table.name}`);
  return rows;
}

/** Size of a table with what it stores out of line, in bytes. */
export async function tableBytes(client: pg.Client, table: string): Promise<number> {
  const { rows } = await client.query<{ bytes: string }>('SELECT pg_table_size($1::regclass) AS bytes', [table]);
  return Number(rows[0]?.bytes ?? 0);
}
