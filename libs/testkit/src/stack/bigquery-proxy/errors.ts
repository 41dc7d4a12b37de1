/** An error as the real service words it; `status` is HTTP's. */
export interface ServiceError {
  readonly status: number;
  readonly reason: string;
  readonly message: string;
}

/** Errors of the real service that no emulator makes, by the name a test calls them. */
export const SERVICE_ERRORS = {
  quotaExceeded: {
    status: 403,
    reason: 'quotaExceeded',
    message: 'Quota exceeded: Your table exceeded quota for imports or query appends per table',
  },
  rateLimitExceeded: {
    status: 403,
    reason: 'rateLimitExceeded',
    message: 'Exceeded rate limits: too many api requests per user per method for this user_method',
  },
  accessDenied: {
    status: 403,
    reason: 'accessDenied',
    message: 'Access Denied: Project nanosync-test: User does not have bigquery.jobs.create permission',
  },
  concurrentUpdate: { status: 400, reason: 'invalidQuery', message: 'Could not serialize access to table due to concurrent update' },
  tooManyStatements: {
    status: 400,
    reason: 'invalidQuery',
    message: 'Resources exceeded: Too many DML statements outstanding against table, limit is 20',
  },
  internalError: { status: 500, reason: 'internalError', message: 'An internal error occurred and the request could not be completed' },
  backendError: { status: 503, reason: 'backendError', message: 'Error encountered during execution. Retrying may solve the problem.' },
} as const satisfies Readonly<Record<string, ServiceError>>;

/** Name of one of {@link SERVICE_ERRORS}. */
export type ServiceErrorName = keyof typeof SERVICE_ERRORS;

/** The body of an error reply. */
export function errorBody({ status, reason, message }: ServiceError): unknown {
  return { error: { code: status, message, errors: [{ message, domain: 'global', reason }] } };
}

/** What the real service says about a job id that it has seen before. */
export function duplicate(jobName: string): ServiceError {
  return { status: 409, reason: 'duplicate', message: `Already Exists: Job ${jobName}` };
}
