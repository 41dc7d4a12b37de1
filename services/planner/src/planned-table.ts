import type { Anchor, Position, ServiceContext, SourceTable, TableId, TableRecord } from '@nanosync/core';
import { RECORD_VERSION } from '@nanosync/core';

/** A table at the beginning of an epoch; `l0` is null where a marker will be its place. */
export function plannedTable(
  ctx: ServiceContext,
  {
    anchor,
    l0,
    table,
    busPartitions,
    adopts = false,
    replaces,
  }: {
    readonly anchor: Anchor;
    readonly l0: Position | null;
    readonly table: SourceTable;
    readonly busPartitions: ReadonlyMap<TableId, number>;
    /** It begins with what the sink has. */
    readonly adopts?: boolean;
    /** Users see something under its name. */
    readonly replaces: boolean;
  },
): TableRecord {
  return {
    v: RECORD_VERSION,
    table: table.schema.table,
    phase: 'planned',
    anchor: anchor.id,
    epoch: ctx.ids.next(),
    schema: table.schema,
    storage: table.storage,
    l0,
    l1Requested: false,
    ...(adopts ? { adopts } : { replaces }),
    partitions: 0,
    voids: 0,
    estimatedRows: table.estimatedRows,
    busPartitions: busPartitions.get(table.schema.table) ?? ctx.changesBusPartitions,
    older: null,
    failure: null,
  };
}
