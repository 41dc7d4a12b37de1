import { existsSync } from 'node:fs';
import type { CaptureRecord, CaptureTable, Failure, PartitionRecord, PipelineRecord, SinkReport, State, TableRecord } from '@nanosync/core';
import { listRecords, readRecord, stateKeys } from '@nanosync/core';
import { systemClock } from '@nanosync/runtime';
import { openEmbeddedState } from '@nanosync/state';

/** A table as all records say it is. */
export interface TableFacts {
  readonly record: TableRecord;
  readonly partitions: readonly PartitionRecord[];
  readonly sink: SinkReport | null;
  readonly captured: CaptureTable | null;
}

/** A pipeline as the state store has it. */
export interface Facts {
  readonly pipeline: PipelineRecord;
  readonly capture: CaptureRecord | null;
  readonly tables: readonly TableFacts[];
  /** The first failure that any record names. */
  readonly failure: Failure | null;
}

/** Reads the state store of a data folder from outside the process that writes it. */
export class FactsReader implements AsyncDisposable {
  readonly #directory: string;
  #state: State | undefined;

  constructor(dataDir: string) {
    this.#directory = `${dataDir}/state`;
  }

  /** Undefined until the pipeline is known. */
  async read(name: string): Promise<Facts | undefined> {
    if (this.#state === undefined && !existsSync(this.#directory)) return undefined; // Opening would make it.
    this.#state ??= await openEmbeddedState({ directory: this.#directory, clock: systemClock() });
    return readFacts(this.#state, name);
  }

  /** Closes the store; the next read opens what is there then. */
  async [Symbol.asyncDispose](): Promise<void> {
    const state = this.#state;
    this.#state = undefined;
    await state?.[Symbol.asyncDispose]();
  }
}

/** All records of a pipeline; undefined until it is known. */
export async function readFacts(state: State, name: string): Promise<Facts | undefined> {
  const pipeline = (await readRecord<PipelineRecord>(state, stateKeys.pipeline(name)))?.value;
  if (pipeline === undefined) return undefined;
  const stored = (await readRecord<CaptureRecord>(state, stateKeys.capture(name)))?.value;
  const capture = stored !== undefined && stored.anchor === pipeline.anchor?.id ? stored : null;
  const tables: TableFacts[] = [];
  for (const { value: record } of await listRecords<TableRecord>(state, stateKeys.tables(name))) {
    if (record.anchor !== pipeline.anchor?.id) continue;
    const partitions = await listRecords<PartitionRecord>(state, stateKeys.partitions(name, record.table, record.epoch));
    const report = (await readRecord<SinkReport>(state, stateKeys.sinkReport(name, record.table)))?.value;
    const captured = capture?.tables[record.table];
    tables.push({
      record,
      partitions: partitions.map(({ value }) => value),
      sink: report?.epoch === record.epoch ? report : null,
      captured: captured?.epoch === record.epoch ? captured : null,
    });
  }
  const failure = pipeline.failure ?? null;
  return { pipeline, capture, tables, failure };
}

/** True once every table has passed its L1 at the sink. */
export function isLive({ pipeline, tables }: Facts): boolean {
  return (
    pipeline.phase === 'streaming' &&
    pipeline.request === null &&
    pipeline.intent.copyAnew.length === 0 &&
    tables.length === pipeline.definition.source.tables.length &&
    tables.every(({ record }) => record.phase === 'following')
  );
}
