import type {
  ApplyRequest,
  EndMarker,
  GenerationId,
  PartitionRuns,
  Row,
  RowBatch,
  Sink,
  SinkChange,
  TableId,
  TableSchema,
} from '@nanosync/core';
import { isKind } from '@nanosync/core';
import { expect } from 'vitest';
import { at, endOf, ORDERS, orderText, rowBatchOf } from './sink-fixtures.ts';

/** A warehouse as the contract suite needs it, fresh for each test. */
export interface SinkHarness extends AsyncDisposable {
  /** Another sink on the same warehouse. */
  open(): Promise<Sink>;
  /** What users see under the table's name, every cell as text, ordered by `id`; undefined when there is no such table. */
  read(table: TableId): Promise<readonly (readonly (string | null)[])[] | undefined>;
  /** Makes something that is not nanosync's under the table's name. */
  occupy(table: TableId): Promise<void>;
  /** Makes a table of orders with these rows, as somebody else would. Absent where such tables are never adopted. */
  fill?(rows: readonly Row[]): Promise<void>;
}

/** The epochs that the tests load, their L0 and the identity of their topics. */
export const E1: GenerationId = { pipeline: 'shop', table: ORDERS.table, epoch: 'e1' };
export const E2: GenerationId = { ...E1, epoch: 'e2' };
export const L0 = at(100, 0);
export const TOPIC = 'topic-1';

/** What the tests of the contract share: a fresh warehouse and one sink on it for each test. */
export interface Scenario {
  readonly harness: SinkHarness;
  sink: Sink;
  /** What users see under the table's name. */
  seen(): ReturnType<SinkHarness['read']>;
}

/** Rows as the harness reads them back. */
export function rowsOf(...rows: readonly Row[]) {
  return rows.map(orderText);
}

/** A row batch of E1. */
export function batch(partition: number, attempt: string, number: number, rows: readonly Row[]) {
  return rowBatchOf(ORDERS, rows, { epoch: 'e1', partition, attempt, batch: number });
}

/** An end marker of E1. */
export function end(partition: number, attempt: string, batches: number, rows: number, quarantined = 0): EndMarker {
  return endOf(ORDERS, { epoch: 'e1', partition, attempt, batches, rows, quarantined });
}

/** Expects a failure of this kind. */
export async function expectKind(kind: Parameters<typeof isKind>[1], promise: Promise<unknown>): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error, `an error of kind ${kind}`).toSatisfy((thrown: unknown) => isKind(thrown, kind));
}

/** Stages on bus partition 0 of the rows topic, one offset a request. */
export function loaderOf(sink: Sink, owner: string, from = 0) {
  let next = from;
  return {
    stage: async (batches: readonly { readonly batch: RowBatch; readonly schema: TableSchema }[], ends: readonly EndMarker[]) => {
      await sink.stage({ pipeline: 'shop', owner, moves: [{ busPartition: 0, from: next, to: next + 1 }], batches, ends });
      next++;
    },
  };
}

/** Builds a generation with two bus partitions of changes. */
export function build(
  sink: Sink,
  generation: GenerationId,
  partitions: number,
  schema = ORDERS,
  l0 = L0,
  more: { readonly anchor?: string; readonly topicId?: string; readonly without?: PartitionRuns } = {},
) {
  const start = [
    { next: 5, session: 1 },
    { next: 7, session: 1 },
  ];
  return sink.build({ generation, anchor: 'anchor', schema, partitions, l0, topicId: TOPIC, ...more, start });
}

/** Builds E1 out of these rows, loaded as `loader` up to offset 1. */
export async function setUp(sink: Sink, rows: readonly Row[]): Promise<void> {
  const [from] = await sink.claimRows('shop', 'loader', TOPIC, 1);
  await loaderOf(sink, 'loader', from).stage([batch(0, 'a1', 0, rows)], [end(0, 'a1', 1, rows.length)]);
  await build(sink, E1, 1);
}

/** Applies changes, a batch a call, and keeps the offsets as the sink-writer does. */
export async function writerOf(sink: Sink, owner: string, generation = E1) {
  const { progress } = await sink.claim(generation, owner);
  const next = progress.map((part) => part.next);
  const request = (...changes: readonly SinkChange[]): ApplyRequest => {
    const parts = [...new Set(changes.map((change) => change.busPartition))];
    const moves = parts.map((busPartition) => {
      const own = changes.filter((change) => change.busPartition === busPartition);
      const from = next[busPartition] as number;
      next[busPartition] = from + own.length;
      return { busPartition, from, to: from + own.length, session: 1, last: own.at(-1)!.event.position, floor: null };
    });
    return { generation, owner, schema: ORDERS, moves, changes };
  };
  const onto = (other: Sink) => ({ request, apply: (...changes: readonly SinkChange[]) => other.apply(request(...changes)) });
  return { ...onto(sink), onto };
}
