import { preflight } from '@nanosync/api';
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
  for (const { name, source, sink, query } of definitions) {
    const what = query === undefined ? source.tables.join(', ') : 'a query';
    const into = query === undefined ? '' : ` (${query.table})`;
    context.out(`${name}: ${source.connection.name} (${what}) -> ${sink.connection.name}${into}: ok`);
  }
  return EXIT_OK;
}

/** Prints the JSON Schema of one of the two files, for editors. */
export function printSchema(context: CliContext, file: 'pipelines' | 'server'): number {
  context.out(JSON.stringify(file === 'server' ? serverJsonSchema() : pipelinesJsonSchema(), null, 2));
  return EXIT_OK;
}
