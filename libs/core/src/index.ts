export { avroName, NULL_BRANCH, readCell, VALUE_BRANCH, writeCell, writeValue } from './avro/cells.ts';
export { decimalFromBytes, decimalToBytes, formatDecimal, parseDecimal } from './avro/decimal.ts';
export { AvroReader } from './avro/reader.ts';
export type { FieldType, RecordOf } from './avro/record.ts';
export { RecordCodec } from './avro/record.ts';
export { decodeMessage, encodeMessage, schemaIdOf, WIRE_HEADER_BYTES, wireHeader } from './avro/wire.ts';
export { AvroWriter } from './avro/writer.ts';
export { aboveBases, checkMoves, inBatchOrder, isBehind, withoutBase } from './batch-rules.ts';
export { busPartitionOf } from './bus-partition.ts';
export type { Cell, CellValue, Row } from './cell.ts';
export { isComplete, UNCHANGED } from './cell.ts';
export type { ChangeEvent, ChangeOrigin } from './change-event.ts';
export { ChangeCodec } from './change-event.ts';
export type { ColumnRules, TableColumnRules } from './column-rules.ts';
export type { ConnectionDefinition, PipelineDefinition, ReplicationType } from './definition.ts';
export type { ErrorKind, RetryPolicy } from './errors.ts';
export { describeError, isKind, PipelineError, unreachable } from './errors.ts';
export type { Folded, KeyChanges, KeyOutcome, NotHeld, Quarantine } from './fold.ts';
export { fold, NO_BASE_ROW, outcomeOf } from './fold.ts';
export { abortWhen, followPipelines } from './follow-pipelines.ts';
export { givenUp, isGivenUp } from './given-up.ts';
export type { PipelineCommand } from './intent.ts';
export { afterCommand, goesOn, newPipeline, RUNNING, withCopyStopped } from './intent.ts';
export type { Invariant, InvariantName } from './invariants.ts';
export { INVARIANTS } from './invariants.ts';
export { leaseNames, withLease } from './lease.ts';
export { measured } from './measured.ts';
export { fittingPayload, refuseTooLarge, tooLargeReason } from './message-limit.ts';
export { MessageSchemas } from './message-schemas.ts';
export type { ControlEvent, ControlKind, EndMarker, PartitionTask, Quarantined, RowBatch } from './messages.ts';
export { CONTROL_EVENT, END_MARKER, PARTITION_TASK, QUARANTINED, ROW_BATCH } from './messages.ts';
export type * from './metrics.ts';
export { METRICS } from './metrics.ts';
export type { PartitionRuns } from './partition-runs.ts';
export { countPartitions, hasPartition, isLeftOut, otherPartitions, partitionRuns } from './partition-runs.ts';
export type { PartitionEvent, PartitionPhase, PausablePhase, PipelineEvent, PipelinePhase, TableEvent, TablePhase } from './phases.ts';
export { PARTITION_MACHINE, PIPELINE_MACHINE, step, TABLE_MACHINE } from './phases.ts';
export type * from './ports/bus.ts';
export type * from './ports/clock.ts';
export type * from './ports/problem.ts';
export type * from './ports/query-source.ts';
export type { FailpointName, Log, LogFields, ServiceContext } from './ports/service.ts';
export { FAILPOINTS } from './ports/service.ts';
export type * from './ports/sink.ts';
export type * from './ports/source.ts';
export type * from './ports/state.ts';
export type { Position } from './position.ts';
export {
  comparePositions,
  laterPosition,
  leastPosition,
  parsePosition,
  positionBelowAll,
  positionOf,
  sectionsOf,
  shortPosition,
} from './position.ts';
export type { QueryDefinition, QueryMode, QueryOutcome, QueryRecord, QueryRun, QuerySchedule } from './query.ts';
export { leftGeneration, resultSchema, scheduledQuery, targetsOf } from './query.ts';
export { leavingTables, recordedTables, tablesToAdd, takesInAlike, withoutTables } from './recorded-tables.ts';
export type {
  Anchor,
  CaptureRecord,
  CaptureTable,
  Failure,
  OlderEpoch,
  OlderReport,
  OverlapCounts,
  PartitionRecord,
  PipelineIntent,
  PipelineRecord,
  SinkReport,
  TableRecord,
  TroubleRecord,
} from './records.ts';
export { RECORD_VERSION, stateKeys } from './records.ts';
export { followsChanges, sourceUseOf } from './replication.ts';
export { readRowOrigin, rowBlockSchemaJson, rowOrigin, rowSchemaJson, tableSchemaOf } from './row-schema.ts';
export { areRangesRead, isMoving, isReadFrom, isWrittenTo, turned } from './run-state.ts';
export { connectionText, sameConnection } from './same-connection.ts';
export { Share } from './share.ts';
export type { Stored } from './stored.ts';
export { listRecords, putOf, readRecord, updateRecord } from './stored.ts';
export type { Column, ColumnType, TableId, TableSchema } from './table.ts';
export { DATE_INFINITY, keyIndexes, sameSchema, splitTableId, TIMESTAMP_INFINITY, tableIdOf } from './table.ts';
export type { Topics } from './topics.ts';
export { ROWS_BUS_PARTITIONS, topicsOf } from './topics.ts';
export { endTrouble, tellTrouble } from './trouble.ts';
export { upgraded } from './upgrade.ts';
export type { AppliedReport, CountMark, LogMark, WatchRecord } from './watch.ts';
export { appliedUpTo, seenByUsers, waitingOnBus } from './watch.ts';
