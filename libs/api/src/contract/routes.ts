import { z } from 'zod';
import * as s from './schemas.ts';
import { VERIFY_LINE, VERIFY_QUERY } from './verify-schemas.ts';

/** One route: what it takes and what it answers. */
export interface Route {
  readonly method: 'GET' | 'POST';
  /** With `{name}` for parameters. */
  readonly path: string;
  readonly summary: string;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  readonly answer: z.ZodType;
  /** The answer is a stream of lines, each one JSON object of this shape. */
  readonly lines?: true;
}

/** Every route. The server's handlers, the client's calls, the OpenAPI document and its tests are made from this table. */
export const ROUTES = {
  openapi: { method: 'GET', path: '/v1/openapi.json', summary: 'This document.', answer: z.looseObject({ openapi: z.string() }) },
  status: { method: 'GET', path: '/v1/pipelines', summary: 'Where all pipelines stand.', answer: s.STATUS_ANSWER },
  pipeline: {
    method: 'GET',
    path: '/v1/pipelines/{name}',
    summary: 'Where one pipeline stands.',
    params: s.PIPELINE_PARAMS,
    answer: s.STATUS_ANSWER,
  },
  apply: {
    method: 'POST',
    path: '/v1/apply',
    summary: 'Store definitions, all or none, or say what that would do.',
    body: s.APPLY_REQUEST,
    answer: s.APPLY_ANSWER,
  },
  doctor: {
    method: 'POST',
    path: '/v1/doctor',
    summary: 'Look at every prerequisite of state store, bus, sources and sinks, and say what cures what is not as needed.',
    body: s.DOCTOR_REQUEST,
    answer: s.DOCTOR_ANSWER,
  },
  pause: {
    method: 'POST',
    path: '/v1/pipelines/{name}/pause',
    summary: 'Stop reading the source, or with `part: sink` stop writing to the sink alone.',
    params: s.PIPELINE_PARAMS,
    body: s.PART_REQUEST,
    answer: s.COMMAND_ANSWER,
  },
  resume: {
    method: 'POST',
    path: '/v1/pipelines/{name}/resume',
    summary: 'Go on with what was paused.',
    params: s.PIPELINE_PARAMS,
    body: s.PART_REQUEST,
    answer: s.COMMAND_ANSWER,
  },
  run: {
    method: 'POST',
    path: '/v1/pipelines/{name}/run',
    summary: 'Run the query of a query pipeline before its time.',
    params: s.PIPELINE_PARAMS,
    body: s.RUN_REQUEST,
    answer: s.COMMAND_ANSWER,
  },
  resnapshot: {
    method: 'POST',
    path: '/v1/pipelines/{name}/resnapshot',
    summary: 'Copy tables anew, beside what users see until the new ones are complete.',
    params: s.PIPELINE_PARAMS,
    body: s.RESNAPSHOT_REQUEST,
    answer: s.COMMAND_ANSWER,
  },
  delete: {
    method: 'POST',
    path: '/v1/pipelines/{name}/delete',
    summary: 'Remove a pipeline with its slot, publication, topics and state.',
    params: s.PIPELINE_PARAMS,
    body: s.DELETE_REQUEST,
    answer: s.COMMAND_ANSWER,
  },
  tap: {
    method: 'GET',
    path: '/v1/pipelines/{name}/tap',
    summary: "A pipeline's messages as they are on the bus.",
    params: s.PIPELINE_PARAMS,
    query: s.TAP_QUERY,
    answer: s.TAP_LINE,
    lines: true,
  },
  logs: {
    method: 'GET',
    path: '/v1/logs',
    summary: 'The newest log lines of all services.',
    query: s.LOGS_QUERY,
    answer: s.LOGS_LINE,
    lines: true,
  },
  verify: {
    method: 'GET',
    path: '/v1/pipelines/{name}/verify',
    summary: 'Compare source and sink by key and column, and list the keys that differ.',
    params: s.PIPELINE_PARAMS,
    query: VERIFY_QUERY,
    answer: VERIFY_LINE,
    lines: true,
  },
} as const satisfies Readonly<Record<string, Route>>;

/** The routes by name. */
export type RouteName = keyof typeof ROUTES;
/** Those that answer with one body. */
export type CallName = { [N in RouteName]: (typeof ROUTES)[N] extends { readonly lines: true } ? never : N }[RouteName];
/** Those that answer with lines. */
export type StreamName = Exclude<RouteName, CallName>;

type Taken<R> = Pick<R, keyof R & ('params' | 'query' | 'body')>;

/** What a route is called with. */
export type RequestOf<N extends RouteName> = {
  readonly [K in keyof Taken<(typeof ROUTES)[N]>]: Taken<(typeof ROUTES)[N]>[K] extends z.ZodType<infer T> ? T : never;
};

/** What a route answers; of a stream: each line. */
export type AnswerOf<N extends RouteName> = z.output<(typeof ROUTES)[N]['answer']>;
