import type { DoctorCheck } from '@nanosync/api';
import { loadPipelines } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { EXIT_FAILED, EXIT_OK } from '../context.ts';
import { apiOf } from '../endpoint.ts';
import type { CommonOptions } from './common.ts';

const SIGNS = { ok: 'ok      ', warning: 'warning ', problem: 'PROBLEM ' } as const;

/** Has the server look at every prerequisite, of a file's pipelines too, and prints what it found. Exit status 1 where something is a problem. */
export async function doctor(
  context: CliContext,
  pipeline: string | undefined,
  options: CommonOptions & { readonly file?: string },
): Promise<number> {
  const definitions = options.file === undefined ? {} : { definitions: [...loadPipelines(options.file)] };
  const body = { ...(pipeline === undefined ? {} : { pipeline }), ...definitions };
  const { healthy, checks } = await apiOf(context, options).call('doctor', { body });
  if (options.json === true) context.out(JSON.stringify({ healthy, checks }));
  else for (const line of checks.flatMap(linesOf)) context.out(context.redactor.redact(line));
  return healthy ? EXIT_OK : EXIT_FAILED;
}

function linesOf({ level, place, what, cure }: DoctorCheck): readonly string[] {
  return [`${SIGNS[level]}${place}: ${what}`, ...(cure === null ? [] : [`          ${cure}`])];
}
