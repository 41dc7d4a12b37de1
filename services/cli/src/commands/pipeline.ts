import type { AnswerOf } from '@nanosync/api';
import { PipelineError } from '@nanosync/core';
import type { CliContext } from '../context.ts';
import { EXIT_OK } from '../context.ts';
import { apiOf } from '../endpoint.ts';
import type { CommonOptions } from './common.ts';

/** Stops reading the source, or with `--sink` writing to the sink alone; `resume` goes on. */
export async function pauseOrResume(
  context: CliContext,
  verb: 'pause' | 'resume',
  name: string,
  options: CommonOptions & { readonly sink?: boolean },
): Promise<number> {
  const body = { part: options.sink === true ? ('sink' as const) : ('pipeline' as const) };
  return print(context, await apiOf(context, options).call(verb, { params: { name }, body }), options);
}

/** Has the query of a query pipeline run now. */
export async function runNow(context: CliContext, name: string, options: CommonOptions): Promise<number> {
  return print(context, await apiOf(context, options).call('run', { params: { name }, body: {} }), options);
}

/** Has tables copied anew, beside the old ones until the new ones are complete. */
export async function resnapshot(context: CliContext, name: string, options: CommonOptions & { readonly table?: string }): Promise<number> {
  const body = options.table === undefined ? {} : { table: options.table };
  return print(context, await apiOf(context, options).call('resnapshot', { params: { name }, body }), options);
}

/** Has a pipeline removed, which needs a yes. */
export async function remove(
  context: CliContext,
  name: string,
  options: CommonOptions & { readonly dropTables?: boolean; readonly force?: boolean; readonly yes?: boolean },
): Promise<number> {
  const body = { dropTables: options.dropTables === true, ...(options.force === true ? { force: true } : {}) };
  if (options.yes !== true)
    throw new PipelineError('config', `deleting pipeline ${name} cannot be taken back.`, {
      hint: `Run: nanosync pipeline delete ${name}${body.dropTables ? ' --drop-tables' : ''}${options.force === true ? ' --force' : ''} --yes`,
    });
  return print(context, await apiOf(context, options).call('delete', { params: { name }, body }), options);
}

function print(context: CliContext, answer: AnswerOf<'pause'>, { json }: CommonOptions): number {
  context.out(json === true ? JSON.stringify(answer) : `${answer.pipeline}: ${answer.says}`);
  return EXIT_OK;
}
