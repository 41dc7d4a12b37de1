import { preflight } from '@nanosync/api';
import type { PipelineDefinition } from '@nanosync/core';
import { loadPipelines, pipelinesJsonSchema, serverJsonSchema } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { EXIT_OK } from '../context.ts';
import type { CommonOptions } from './common.ts';
import { preflightPorts } from './preflight-ports.ts';

/** Checks a pipelines file; with `connect` also the source and the sink of each pipeline. Changes nothing anywhere. */
export async function validate(
  context: CliContext,
  file: string,
  options: CommonOptions & { readonly connect?: boolean },
): Promise<number> {
  const definitions = loadPipelines(file);
  if (options.connect) await preflight(preflightPorts(context, options), definitions);
  if (options.json === true) {
    context.out(JSON.stringify({ valid: true, pipelines: definitions.map(briefly) }));
    return EXIT_OK;
  }
  for (const { name, source, sink, query } of definitions) {
    const what = query === undefined ? source.tables.join(', ') : 'a query';
    const into = query === undefined ? '' : ` (${query.table})`;
    context.out(`${name}: ${source.connection.name} (${what}) -> ${sink.connection.name}${into}: ok`);
  }
  return EXIT_OK;
}

/** A pipeline as `validate --json` names it. */
function briefly({ name, source, sink, query }: PipelineDefinition) {
  const [tables, into] = query === undefined ? [source.tables, null] : [[], query.table];
  return { name, source: source.connection.name, tables, sink: sink.connection.name, query_into: into };
}

/** Prints the JSON Schema of one of the two files, for editors. */
export function printSchema(context: CliContext, file: 'pipelines' | 'server'): number {
  context.out(JSON.stringify(file === 'server' ? serverJsonSchema() : pipelinesJsonSchema(), null, 2));
  return EXIT_OK;
}
