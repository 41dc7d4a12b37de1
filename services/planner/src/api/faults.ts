import type { ApiErrorBody, ApiErrorCode } from '@nanosync/api';
import { ApiFault, errorBody } from '@nanosync/api';
import { PipelineError } from '@nanosync/core';

/** What the HTTP layer itself refuses, by the status that it would answer. */
const BY_STATUS: Readonly<Record<number, readonly [ApiErrorCode, string, string]>> = {
  400: ['config', 'The request cannot be read.', 'Send JSON, as /v1/openapi.json says.'],
  408: ['too-slow', 'The request did not arrive in time.', 'Send it again.'],
  413: ['too-large', 'The request is too large.', 'Apply the pipelines in several files.'],
  414: ['too-large', 'The address of the request is too long.', 'Shorten it.'],
  415: ['config', 'The body of the request is no JSON.', 'Send content-type: application/json.'],
  429: ['too-many-requests', 'Too many requests from this address.', 'Wait a minute, or ask less often.'],
  503: ['too-slow', 'The server did not get done with the request in time.', 'Whether it acted is not known: look, and send it again.'],
};

/** The error as its body says it: ours as they are, the HTTP layer's in our words, and of others nothing. */
export function bodyOf(error: unknown): ApiErrorBody {
  if (error instanceof PipelineError) return errorBody(error);
  const known = BY_STATUS[(error as { readonly statusCode?: number }).statusCode ?? 0];
  return known === undefined ? errorBody(error) : { code: known[0], message: known[1], cure: known[2] };
}

/** What a schema says of data that is not of its shape. */
interface Refusal {
  readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[];
}

/** What a schema found wrong with a part of a request; says where and what is wanted, and nothing of what was sent. */
export function invalid(part: string, error: Refusal): ApiFault {
  const lines = error.issues.slice(0, 20).map((issue) => {
    const place = issue.path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`)).join('');
    return `${part}${place}: ${issue.message}`;
  });
  return new ApiFault('config', lines.join('\n'), 'See /v1/openapi.json.');
}
