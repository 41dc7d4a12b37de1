import type { ConnectionDefinition, PipelineDefinition, Problem, Source, TableId, TableSchema } from '@nanosync/core';
import { followsChanges, PipelineError, resultSchema, sourceUseOf, targetsOf } from '@nanosync/core';

/** What a pipeline would write. */
export interface SinkCheckRequest {
  readonly pipeline: string;
  readonly tables: readonly TableId[];
  /** Of the tables whose columns are known: none when the source has problems of its own. */
  readonly schemas: readonly TableSchema[];
  /** They begin with what the sink has under their names. */
  readonly adopts: boolean;
}

/** How a preflight reaches sources and sinks. Connections are handed over with their references; they are resolved behind this. */
export interface PreflightPorts {
  openSource(connection: ConnectionDefinition): Promise<Source>;
  /** Problems that would keep the tables from being written; creates nothing, not even an absent warehouse file. */
  checkSink(connection: ConnectionDefinition, request: SinkCheckRequest): Promise<readonly Problem[]>;
}

/** What is wrong with one side of a pipeline. */
export interface Finding {
  readonly side: 'source' | 'sink';
  /** `pipeline orders, source prod-postgres`. */
  readonly place: string;
  readonly problems: readonly Problem[];
}

/**
 * Looks whether these pipelines can run. Touches nothing. Throws one PipelineError `prerequisite` with a line for every problem found, each with
 * its place and cure.
 */
export async function preflight(ports: PreflightPorts, definitions: readonly PipelineDefinition[]): Promise<void> {
  const lines: string[] = [];
  for (const definition of definitions)
    for (const { place, problems } of await findings(ports, definition, definitions))
      for (const { what, cure, mild } of problems)
        if (mild === undefined) lines.push(`${place}: ${sentence(what)}${cure === '' ? '' : ` ${cure}`}`);
  const distinct = [...new Set(lines)];
  if (distinct.length > 0) throw new PipelineError('prerequisite', distinct.join('\n'));
}

/** Opens source and sink of a pipeline and asks both for problems. `all` are those that are to run together. */
export async function findings(
  ports: PreflightPorts,
  definition: PipelineDefinition,
  all: readonly PipelineDefinition[],
): Promise<readonly Finding[]> {
  const schemas: TableSchema[] = [];
  const found = async (side: Finding['side'], check: () => Promise<readonly Problem[]>): Promise<Finding> => ({
    side,
    place: `pipeline ${definition.name}, ${side} ${definition[side].connection.name}`,
    problems: await problemsOf(check),
  });
  const source = await found('source', () => sourceProblems(ports, definition, { all, schemas }));
  return [source, await found('sink', () => sinkProblems(ports, definition, schemas))];
}

/** Puts the tables' columns into `schemas` for the sink, when the source has no problem. */
async function sourceProblems(
  ports: PreflightPorts,
  definition: PipelineDefinition,
  { all, schemas }: { readonly all: readonly PipelineDefinition[]; readonly schemas: TableSchema[] },
): Promise<readonly Problem[]> {
  const { connection, tables, columns } = definition.source;
  await using source = await ports.openSource(connection);
  const { query } = definition;
  if (query !== undefined) {
    if (source.queries === undefined) return [{ what: 'This source runs no queries.', cure: 'Name a PostgreSQL database.' }];
    schemas.push(resultSchema(query, (await source.queries.describe(query.statement)).columns));
    return [];
  }
  const same = ({ name, source }: PipelineDefinition) =>
    name !== definition.name && JSON.stringify(source.connection) === JSON.stringify(connection);
  const beside = all.filter((other) => followsChanges(other) && same(other)).map(({ name }) => name);
  const problems = await source.check(definition.name, tables, { columns, use: sourceUseOf(definition), beside });
  if (problems.length === 0) for (const { schema } of await source.discover(tables, columns)) schemas.push(schema);
  return problems;
}

async function sinkProblems(
  ports: PreflightPorts,
  definition: PipelineDefinition,
  schemas: readonly TableSchema[],
): Promise<readonly Problem[]> {
  const adopts = definition.replicationType === 'cdc';
  const request = { pipeline: definition.name, tables: targetsOf(definition) as readonly TableId[], schemas, adopts };
  return await ports.checkSink(definition.sink.connection, request);
}

/** A problem that a check returns and one that it throws read the same. What is no PipelineError is a fault of ours. */
export async function problemsOf(check: () => Promise<readonly Problem[]>): Promise<readonly Problem[]> {
  try {
    return await check();
  } catch (error) {
    if (!(error instanceof PipelineError) || error.kind === 'defect') throw error;
    return [{ what: error.message, cure: error.hint ?? '' }];
  }
}

function sentence(text: string): string {
  return /[.!?;:]$/.test(text) ? text : `${text}.`;
}
