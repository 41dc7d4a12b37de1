import type { ConnectionDefinition, PipelineDefinition, Problem, Source, TableId, TableSchema } from '@nanosync/core';
import { describeError, isKind, PipelineError, resultSchema, sourceUseOf, targetsOf } from '@nanosync/core';

/** What a pipeline would write. */
export interface SinkCheckRequest {
  readonly pipeline: string;
  readonly tables: readonly TableId[];
  /** Of the tables whose columns are known: none when the source has problems of its own. */
  readonly schemas: readonly TableSchema[];
}

/** How a preflight reaches sources and sinks. Connections are handed over with their references; they are resolved behind this. */
export interface PreflightPorts {
  openSource(connection: ConnectionDefinition): Promise<Source>;
  /** Problems that would keep the tables from being written; creates nothing, not even an absent warehouse file. */
  checkSink(connection: ConnectionDefinition, request: SinkCheckRequest): Promise<readonly Problem[]>;
}

/**
 * Looks whether these pipelines can run: opens source and sink of each and asks both for problems. Touches nothing. Throws one
 * PipelineError `prerequisite` with a line for every problem found, each with its place and cure.
 */
export async function preflight(ports: PreflightPorts, definitions: readonly PipelineDefinition[]): Promise<void> {
  const lines: string[] = [];
  for (const definition of definitions) {
    const schemas: TableSchema[] = [];
    lines.push(...(await checked(placeOf(definition, 'source'), () => sourceProblems(ports, definition, schemas))));
    lines.push(...(await checked(placeOf(definition, 'sink'), () => sinkProblems(ports, definition, schemas))));
  }
  const distinct = [...new Set(lines)];
  if (distinct.length > 0) throw new PipelineError('prerequisite', distinct.join('\n'));
}

/** Puts the tables' columns into `schemas` for the sink, when the source has no problem. */
async function sourceProblems(ports: PreflightPorts, definition: PipelineDefinition, schemas: TableSchema[]): Promise<readonly Problem[]> {
  const { connection, tables, columns } = definition.source;
  const { query } = definition;
  await using source = await ports.openSource(connection);
  if (query !== undefined) {
    if (source.queries === undefined) return [{ what: 'This source runs no queries.', cure: 'Name a PostgreSQL database.' }];
    schemas.push(resultSchema(query, (await source.queries.describe(query.statement)).columns));
    return [];
  }
  const problems = await source.check(definition.name, tables, columns, sourceUseOf(definition));
  if (problems.length === 0) for (const { schema } of await source.discover(tables, columns)) schemas.push(schema);
  return problems;
}

async function sinkProblems(
  ports: PreflightPorts,
  definition: PipelineDefinition,
  schemas: readonly TableSchema[],
): Promise<readonly Problem[]> {
  const request = { pipeline: definition.name, tables: targetsOf(definition) as readonly TableId[], schemas };
  return await ports.checkSink(definition.sink.connection, request);
}

/** A problem that a check returns and one that it throws read the same. What is no PipelineError is a fault of ours. */
async function checked(place: string, check: () => Promise<readonly Problem[]>): Promise<readonly string[]> {
  try {
    return (await check()).map(({ what, cure }) => `${place}: ${sentence(what)} ${cure}`);
  } catch (error) {
    if (!(error instanceof PipelineError) || isKind(error, 'defect')) throw error;
    return [`${place}: ${describeError(error)}`];
  }
}

function placeOf(definition: PipelineDefinition, side: 'source' | 'sink'): string {
  return `pipeline ${definition.name}, ${side} ${definition[side].connection.name}`;
}

function sentence(text: string): string {
  return /[.!?;:]$/.test(text) ? text : `${text}.`;
}
