/** Rows of one end in key order: the key's parts as text, then the whole row as text. */
export type KeyedRows = AsyncIterable<readonly (readonly string[])[]>;

/** How one part of the key is ordered, on both ends alike. */
export type KeyOrder = 'integer' | 'text';

/** One row that is not the same on both ends. */
export type Difference =
  | { readonly kind: 'missing' | 'extra'; readonly key: readonly string[] }
  | { readonly kind: 'different'; readonly key: readonly string[]; readonly source: string; readonly sink: string };

/**
 * Walks two ends in key order and calls `onDifference` for each row that is not the same on both; returns the rows of each.
 * Rows with equal keys are paired one to one, so the second row of a doubled key is extra. Holds one batch of each end.
 */
export async function mergeRows(
  source: KeyedRows,
  sink: KeyedRows,
  orders: readonly KeyOrder[],
  onDifference: (difference: Difference) => void,
): Promise<{ readonly sourceRows: number; readonly sinkRows: number }> {
  const left = new RowCursor(source, orders, 'source');
  const right = new RowCursor(sink, orders, 'sink');
  for (;;) {
    if (left.exhausted) await left.fill();
    if (right.exhausted) await right.fill();
    const a = left.row;
    const b = right.row;
    if (a === undefined && b === undefined) return { sourceRows: left.rows, sinkRows: right.rows };
    const order = a === undefined ? 1 : b === undefined ? -1 : compareKeys(orders, a, b);
    if (order < 0) onDifference({ kind: 'missing', key: keyOf(orders, a) });
    else if (order > 0) onDifference({ kind: 'extra', key: keyOf(orders, b) });
    else if (textOf(orders, a) !== textOf(orders, b))
      onDifference({ kind: 'different', key: keyOf(orders, a), source: textOf(orders, a), sink: textOf(orders, b) });
    if (order <= 0) left.advance();
    if (order >= 0) right.advance();
  }
}

/** One end's place in its rows. Refuses rows that are out of order: merging them would report nonsense. */
class RowCursor {
  rows = 0;
  readonly #batches: AsyncIterator<readonly (readonly string[])[]>;
  readonly #orders: readonly KeyOrder[];
  readonly #end: string;
  #batch: readonly (readonly string[])[] = [];
  #at = 0;
  #done = false;

  constructor(rows: KeyedRows, orders: readonly KeyOrder[], end: string) {
    this.#batches = rows[Symbol.asyncIterator]();
    this.#orders = orders;
    this.#end = end;
  }

  get exhausted(): boolean {
    return !this.#done && this.#at >= this.#batch.length;
  }

  get row(): readonly string[] | undefined {
    return this.#batch[this.#at];
  }

  async fill(): Promise<void> {
    const last = this.#batch.at(-1);
    while (this.exhausted) {
      const next = await this.#batches.next();
      this.#done = next.done === true;
      this.#batch = next.done === true ? [] : next.value;
      this.#at = 0;
    }
    if (last !== undefined) this.#inOrder(last, this.row);
  }

  advance(): void {
    const before = this.row;
    this.#at++;
    this.rows++;
    if (before !== undefined) this.#inOrder(before, this.row);
  }

  #inOrder(before: readonly string[], row: readonly string[] | undefined): void {
    if (row !== undefined && compareKeys(this.#orders, before, row) > 0)
      throw new Error(`the rows of the ${this.#end} are not in key order`);
  }
}

function compareKeys(orders: readonly KeyOrder[], a: readonly string[] | undefined, b: readonly string[] | undefined): number {
  for (const [index, order] of orders.entries()) {
    const left = a?.[index] ?? '';
    const right = b?.[index] ?? '';
    if (left === right) continue;
    return order === 'integer' ? compareIntegers(left, right) : Buffer.compare(Buffer.from(left), Buffer.from(right));
  }
  return 0;
}

function compareIntegers(a: string, b: string): number {
  if (a.length <= 15 && b.length <= 15) return Number(a) - Number(b);
  return BigInt(a) < BigInt(b) ? -1 : 1;
}

function keyOf(orders: readonly KeyOrder[], row: readonly string[] | undefined): readonly string[] {
  return row?.slice(0, orders.length) ?? [];
}

function textOf(orders: readonly KeyOrder[], row: readonly string[] | undefined): string {
  return row?.[orders.length] ?? '';
}
