import { SHOP } from './shop.ts';

/** What one writer knows: its random numbers and the keys that it alone hands out. */
export interface WriterState {
  readonly random: () => number;
  readonly wide: number;
  /** The next unused key of a bigint column. */
  next: number;
  /** The next unused key of an integer column. */
  small: number;
}

/** A statement and the table that it changes. */
export interface WriterStatement {
  readonly table: string;
  readonly text: string;
  readonly values: readonly unknown[];
}

type Maker = (state: WriterState) => readonly WriterStatement[];

/** What a shop's application does, with how often it does it. */
const MIX: readonly (readonly [number, Maker])[] = [
  [
    30,
    (s) =>
      change(
        'orders',
        "SET status = 'paid', updated_at = clock_timestamp(), total = total + 0.01, weight = weight * 1.0000001 WHERE id = ANY($1)",
        [some(s, 'orders')],
      ),
  ],
  [
    4,
    (s) =>
      change('orders', 'SET note = NULL, payload = \'{"v": 2.50, "v": [1,  2]}\', gift = NOT gift WHERE id = ANY($1)', [some(s, 'orders')]),
  ],
  [6, (s) => change('orders', 'SET id = $2 WHERE id = $1', [one(s, 'orders'), s.next++])],
  [8, (s) => insert('orders', ...fresh(s, 'next', 1 + below(s, 4)))],
  [6, (s) => remove('orders', 'id = ANY($1)', [some(s, 'orders')])],
  [2, (s) => again('orders', 'id', one(s, 'orders'))],
  [12, (s) => change('order_items', 'SET quantity = quantity + 1, picked_at = clock_timestamp() WHERE order_id = ANY($1)', [lines(s)])],
  [4, (s) => change('order_items', 'SET line_no = line_no + 1000 WHERE order_id = $1 AND line_no = $2', [lines(s)[0], below(s, 3)])],
  [4, (s) => insert('order_items', ...fresh(s, 'next', 3))],
  [4, (s) => remove('order_items', 'order_id = $1', [lines(s)[0]])],
  [
    6,
    (s) =>
      change('customers', 'SET loyalty = loyalty + 1, credit = credit - 0.05, profile = profile || \'{"seen": 1.10}\' WHERE id = ANY($1)', [
        some(s, 'customers'),
      ]),
  ],
  [1, (s) => change('customers', 'SET id = $2 WHERE id = $1', [one(s, 'customers'), s.small++])],
  [1, (s) => insert('customers', ...fresh(s, 'small', 1))],
  [1, (s) => remove('customers', 'id = $1', [one(s, 'customers')])],
  // The large text stays as it is: the log does not carry it.
  [10, (s) => change('products', 'SET price = price + 0.01, updated_at = clock_timestamp() WHERE id = ANY($1)', [some(s, 'products')])],
  [2, (s) => change('products', 'SET id = $2 WHERE id = $1', [one(s, 'products'), s.small++])],
  [2, (s) => change('products', 'SET description = reverse(description) WHERE id = $1', [one(s, 'products')])],
  [1, (s) => insert('products', ...fresh(s, 'small', 1))],
  [1, (s) => remove('products', 'id = $1', [one(s, 'products')])],
  [1, (s) => again('products', 'id', one(s, 'products'))],
  [2, (s) => change('countries', 'SET vat = (vat + 0.25) % 30 WHERE code = $1', [land(s)])],
  [1, (s) => change('countries', 'SET code = $2 WHERE code = $1', [land(s), `X${s.small++}`])],
];

const TOTAL = MIX.reduce((sum, [weight]) => sum + weight, 0);

/** The next statements of a writer, to be run one after the other in its transaction. */
export function pickStatement(state: WriterState): readonly WriterStatement[] {
  let ticket = state.random() * TOTAL;
  for (const [weight, make] of MIX) {
    ticket -= weight;
    if (ticket < 0) return make(state);
  }
  return [];
}

function change(table: string, rest: string, values: readonly unknown[]): readonly WriterStatement[] {
  return [{ table: `public.${table}`, text: `UPDATE public.${table} ${rest}`, values }];
}

function remove(table: string, where: string, values: readonly unknown[]): readonly WriterStatement[] {
  return [{ table: `public.${table}`, text: `DELETE FROM public.${table} WHERE ${where}`, values }];
}

function insert(table: string, from: number, to: number): readonly WriterStatement[] {
  const shop = SHOP.find((each) => each.name === `public.${table}`);
  const text = `INSERT INTO public.${table} SELECT ${shop?.values} FROM generate_series($1::bigint, $2::bigint) AS i ON CONFLICT DO NOTHING`;
  return [{ table: `public.${table}`, text, values: [from, to] }];
}

/** Deletes a row and inserts another under the same key, in one transaction. */
function again(table: string, key: string, value: number): readonly WriterStatement[] {
  return [...remove(table, `${key} = $1`, [value]), ...insert(table, value, value)];
}

/** First and last of some keys that nobody else uses. */
function fresh(state: WriterState, counter: 'next' | 'small', keys: number): readonly [number, number] {
  const from = state[counter];
  state[counter] += keys;
  return [from, state[counter] - 1];
}

function below(state: WriterState, limit: number): number {
  return Math.floor(state.random() * limit);
}

function one(state: WriterState, table: string): number {
  const rows = SHOP.find((each) => each.name === `public.${table}`)?.rows(state.wide) ?? 1;
  return 1 + below(state, rows);
}

function some(state: WriterState, table: string): readonly number[] {
  return Array.from({ length: 1 + below(state, 4) }, () => one(state, table));
}

/** Orders that have lines; see the values of `order_items`. */
function lines(state: WriterState): readonly number[] {
  return Array.from({ length: 1 + below(state, 2) }, () => 1 + Math.floor(one(state, 'order_items') / 3));
}

function land(state: WriterState): string {
  const i = one(state, 'countries');
  return String.fromCharCode(65 + Math.floor(i / 26), 65 + (i % 26));
}
