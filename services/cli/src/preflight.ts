import type { ConnectionDefinition, Log, PipelineDefinition, Problem, TableId, TableSchema } from '@nanosync/core';
import { describeError, isKind, PipelineError } from '@nanosync/core';
import { resolveSecrets } from '@nanosync/runtime';
import type { CliContext } from './context.ts';

/** What a preflight needs besides the process. */
export interface PreflightOptions {
  readonly log: Log;
  readonly memoryLimitBytes: number;
  /** True for a sink that a stored pipeline writes to: its server may hold it open, and then only that one can look into it. */
  readonly isSinkHeld?: (connection: ConnectionDefinition) => boolean;
}

/**
 * Looks whether these pipelines can run: opens source and sink of each and asks both for problems. Touches nothing. Throws one
 * PipelineError `prerequisite` with a line for every problem found, each with its place and cure.
 */
export async function preflight(context: CliContext, definitions: readonly PipelineDefinition[], options: PreflightOptions): Promise<void> {
  const lines: string[] = [];
  for (const definition of definitions) {
    const schemas: TableSchema[] = [];
    lines.push(...(await checked(placeOf(definition, 'source'), () => sourceProblems(context, definition, options, schemas))));
    lines.push(...(await checked(placeOf(definition, 'sink'), () => sinkProblems(context, definition, options, schemas))));
  }
  const distinct = [...new Set(lines)];
  if (distinct.length > 0) throw new PipelineError('prerequisite', distinct.join('\n'));
}

/** Resolves the references of pipelines that run already: one that is not set stops a start before anything runs. */
export function requireSecrets(context: CliContext, definitions: readonly PipelineDefinition[]): void {
  for (const { source, sink } of definitions) {
    resolveSecrets(source.connection, context);
    resolveSecrets(sink.connection, context);
  }
}

/** Puts the tables' columns into `schemas` for the sink, when the source has no problem. */
async function sourceProblems(
  context: CliContext,
  { name, source: { connection, tables } }: PipelineDefinition,
  { log }: PreflightOptions,
  schemas: TableSchema[],
): Promise<readonly Problem[]> {
  await using source = await context.adapters.openSource(resolveSecrets(connection, context), log);
  const problems = await source.check(name, tables);
  if (problems.length === 0) for (const { schema } of await source.discover(tables)) schemas.push(schema);
  return problems;
}

async function sinkProblems(
  context: CliContext,
  definition: PipelineDefinition,
  options: PreflightOptions,
  schemas: readonly TableSchema[],
): Promise<readonly Problem[]> {
  const request = { pipeline: definition.name, tables: definition.source.tables as readonly TableId[], schemas };
  try {
    return await context.adapters.checkSink(resolveSecrets(definition.sink.connection, context), request, options);
  } catch (error) {
    // The planner of the server that holds it looks for the same problems before it creates anything.
    if (isKind(error, 'unavailable') && options.isSinkHeld?.(definition.sink.connection)) return [];
    throw error;
  }
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
