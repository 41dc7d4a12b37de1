import type { ErrorKind } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';

/** What is wrong with a request before any command sees it, or with what it asks for. */
export type RequestFault =
  | 'not-found'
  | 'unauthorized'
  | 'wrong-host'
  | 'too-large'
  | 'too-many-requests'
  | 'too-slow'
  | 'unconfirmed'
  | 'ending';

/** The code of an error answer: the kind of a PipelineError, or what is wrong with the request. */
export type ApiErrorCode = ErrorKind | RequestFault;

/** The body of every answer that is no success. */
export interface ApiErrorBody {
  readonly code: ApiErrorCode;
  readonly message: string;
  /** What to do about it; null where nothing is known. */
  readonly cure: string | null;
}

interface CodeRule {
  readonly status: number;
  /** What a client's command makes of it. */
  readonly kind: ErrorKind;
}

/** Every code with its HTTP status and what it is to the command that asked. A code without an entry does not compile. */
export const API_ERRORS: Readonly<Record<ApiErrorCode, CodeRule>> = {
  config: { status: 400, kind: 'config' },
  prerequisite: { status: 422, kind: 'prerequisite' },
  unavailable: { status: 503, kind: 'unavailable' },
  gap: { status: 409, kind: 'gap' },
  'table-changed': { status: 409, kind: 'table-changed' },
  conflict: { status: 409, kind: 'conflict' },
  'newer-version': { status: 501, kind: 'newer-version' },
  defect: { status: 500, kind: 'defect' },
  'not-found': { status: 404, kind: 'config' },
  unauthorized: { status: 401, kind: 'config' },
  'wrong-host': { status: 421, kind: 'config' },
  'too-large': { status: 413, kind: 'config' },
  'too-many-requests': { status: 429, kind: 'unavailable' },
  'too-slow': { status: 504, kind: 'unavailable' },
  unconfirmed: { status: 412, kind: 'config' },
  ending: { status: 503, kind: 'unavailable' },
};

/** The codes, for schemas. */
export const API_ERROR_CODES = Object.keys(API_ERRORS) as [ApiErrorCode, ...ApiErrorCode[]];

/** An error that a handler answers with under a code of its own. */
export class ApiFault extends PipelineError {
  readonly code: ApiErrorCode;

  constructor(code: ApiErrorCode, message: string, cure?: string) {
    super(API_ERRORS[code].kind, message, cure === undefined ? {} : { hint: cure });
    this.code = code;
  }
}

/** The body for an error; one that nobody foresaw says nothing of itself. */
export function errorBody(error: unknown): ApiErrorBody {
  if (!(error instanceof PipelineError))
    return { code: 'defect', message: 'The server met an error that it did not foresee.', cure: 'Its log says which.' };
  return { code: error instanceof ApiFault ? error.code : error.kind, message: error.message, cure: error.hint ?? null };
}

/** The error of a body, as the command would have met it here. */
export function errorOf(body: ApiErrorBody): PipelineError {
  return new ApiFault(body.code, body.message, body.cure ?? undefined);
}
