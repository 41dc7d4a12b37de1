import type { AnswerOf, ApiParts, CallName, RequestOf, StreamName } from '@nanosync/api';
import { openApiDocument } from '@nanosync/api';
import { applyHandler } from './apply.ts';
import { commandHandler } from './commands.ts';
import { doctorHandler } from './doctor.ts';
import { logsHandler } from './logs.ts';
import { allStatuses, oneStatus } from './statuses.ts';
import { tapHandler } from './tap.ts';
import { verifyHandler } from './verify.ts';

/** What answers each route: a route without a handler does not compile. Handlers see ports only, and what they throw becomes an error body. */
export type Handlers = {
  readonly [N in CallName]: (parts: ApiParts, request: RequestOf<N>) => Promise<AnswerOf<N>>;
};

/** What answers the routes of lines. It throws what is wrong with the request before the first line; `signal` ends the reading. */
export type StreamHandlers = {
  readonly [N in StreamName]: (parts: ApiParts, request: RequestOf<N>, signal: AbortSignal) => Promise<AsyncIterable<string>>;
};

export const HANDLERS: Handlers = {
  openapi: async ({ version }) => openApiDocument(version) as { openapi: string },
  status: (parts) => allStatuses(parts),
  pipeline: (parts, { params }) => oneStatus(parts, params.name),
  apply: (parts, { body }) => applyHandler(parts, body),
  doctor: (parts, { body }) => doctorHandler(parts, body),
  pause: (parts, { params, body }) => commandHandler(parts, params.name, { kind: 'pause', part: body.part ?? 'pipeline' }),
  resume: (parts, { params, body }) => commandHandler(parts, params.name, { kind: 'resume', part: body.part ?? 'pipeline' }),
  run: (parts, { params }) => commandHandler(parts, params.name, { kind: 'run' }),
  resnapshot: (parts, { params, body }) => commandHandler(parts, params.name, { kind: 'resnapshot', table: body.table ?? null }),
  delete: (parts, { params, body }) =>
    commandHandler(parts, params.name, { kind: 'delete', dropTables: body.dropTables === true, force: body.force === true }),
};

export const STREAM_HANDLERS: StreamHandlers = {
  tap: (parts, { params, query }, signal) => tapHandler(parts, params.name, query, signal),
  logs: (parts, { query }, signal) => logsHandler(parts, query, signal),
  verify: (parts, { params, query }, signal) => verifyHandler(parts, params.name, query, signal),
};
