import type { ApplyAnswer } from '@nanosync/api';
import { PipelineError } from '@nanosync/core';
import { loadPipelines } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { EXIT_OK } from '../context.ts';
import { apiOf } from '../endpoint.ts';
import type { CommonOptions } from './common.ts';

/** The options of `apply`. */
export interface ApplyOptions extends CommonOptions {
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

/**
 * Has the server store the pipelines of a file, after it said what that does. Nothing is stored unless every new pipeline can run, and every
 * table that comes to one can be added; nor where rows that users see would go, unless that was confirmed.
 */
export async function apply(context: CliContext, file: string, options: ApplyOptions): Promise<number> {
  const definitions = [...loadPipelines(file)];
  const api = apiOf(context, options);
  const planned = await api.call('apply', { body: { definitions, dryRun: true, check: options.dryRun === true } });
  if (options.json !== true) print(context, planned, options.dryRun === true);
  if (options.dryRun === true) {
    if (options.json === true) context.out(JSON.stringify(planned));
    return EXIT_OK;
  }
  const confirmed = options.yes === true || (await isConfirmed(context, planned));
  const applied = await api.call('apply', { body: { definitions, confirmed } });
  if (options.json === true) context.out(JSON.stringify(applied));
  else if (textOf(applied) !== textOf(planned)) print(context, applied, false); // Someone else wrote between the two.
  return EXIT_OK;
}

function print(context: CliContext, answer: ApplyAnswer, isDryRun: boolean): void {
  for (const { name, outcome, edits } of answer.pipelines) {
    context.out(`${name}: ${isDryRun && outcome !== 'unchanged' ? 'would be ' : ''}${outcome}`);
    for (const { effect, drops } of edits) context.out(context.redactor.redact(`${name}: ${effect}${drops ? ' (DROPS ROWS)' : ''}`));
  }
}

function textOf({ pipelines }: ApplyAnswer): string {
  return JSON.stringify(pipelines);
}

/** True where nothing goes, or where who sits there says so. */
async function isConfirmed({ confirm }: CliContext, { pipelines }: ApplyAnswer): Promise<boolean> {
  const drops = pipelines.flatMap(({ name, edits }) => edits.filter((edit) => edit.drops).map(({ effect }) => `${name}: ${effect}`));
  if (drops.length === 0) return false; // Nothing to confirm: should rows go all the same by now, the server refuses.
  if (confirm !== undefined && (await confirm('Rows that users see go. Do it?'))) return true;
  throw new PipelineError('config', `Nothing was stored: rows that users see would go (${drops.join('; ')}).`, {
    hint: 'Confirm it with --yes.',
  });
}
