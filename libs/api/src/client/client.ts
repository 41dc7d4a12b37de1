import type { IncomingMessage } from 'node:http';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { PipelineError } from '@nanosync/core';
import { errorOf } from '../contract/errors.ts';
import type { AnswerOf, CallName, RequestOf, Route, RouteName, StreamName } from '../contract/routes.ts';
import { ROUTES } from '../contract/routes.ts';
import { ERROR } from '../contract/schemas.ts';
import { DEPLOYMENT_HEADER } from '../serving.ts';
import { unreachableServer } from './connection-errors.ts';
import { linesOf } from './lines.ts';

/** How long an answer may take: longer than a server takes before it gives up by itself. */
const ANSWER_MS = 150_000;
/** Answers are small; a longer one comes from something else. */
const MAX_ANSWER_BYTES = 256 * 1_048_576;

/** A server of the API, and how to enter it. */
export interface ApiAddress {
  readonly url: string;
  readonly token: string | undefined;
  /** The authority of its certificate, PEM; undefined: the system's. */
  readonly ca: string | undefined;
  /** Only a server of this deployment may act; undefined: whichever answers. */
  readonly deployment?: string | undefined;
  /** What to do where nothing answers, as a sentence. */
  readonly absentCure: string;
}

/** The API as a program calls it. Errors are those that the command would have met at the server. */
export interface ApiClient {
  call<N extends CallName>(name: N, request: RequestOf<N>, signal?: AbortSignal): Promise<AnswerOf<N>>;
  /** Line by line; reads no faster than it is consumed, and ends the server's reading when it is left. */
  stream<N extends StreamName>(name: N, request: RequestOf<N>, signal: AbortSignal): AsyncGenerator<AnswerOf<N>>;
}

/** A client of one server, whose address is looked up with the first call. Holds no connection between calls. */
export function apiClient(address: ApiAddress | (() => Promise<ApiAddress>)): ApiClient {
  let found: Promise<ApiAddress> | undefined;
  const settled = () => {
    found ??= typeof address === 'function' ? address() : Promise.resolve(address);
    return found;
  };
  return {
    call: async (name, request, signal) => {
      const at = await settled();
      const within = AbortSignal.timeout(ANSWER_MS);
      const response = await send(at, name, request, signal === undefined ? within : AbortSignal.any([signal, within]));
      return (await answerOf(at, response)) as never;
    },
    stream: (name, request, signal) => stream(settled, name, request, signal) as never,
  };
}

async function* stream(settled: () => Promise<ApiAddress>, name: RouteName, request: Parts, signal: AbortSignal): AsyncGenerator<unknown> {
  const address = await settled();
  let response: IncomingMessage | undefined;
  try {
    response = await send(address, name, request, signal);
    if (response.statusCode !== 200) {
      await answerOf(address, response);
      return;
    }
    for await (const line of linesOf(response)) {
      const entry = JSON.parse(line) as { readonly kind?: string };
      if (entry.kind === 'error') throw errorOf(ERROR.parse({ ...entry, kind: undefined }));
      yield entry;
    }
  } catch (error) {
    if (signal.aborted) return;
    throw error instanceof PipelineError ? error : unreachableServer(address, error);
  } finally {
    response?.destroy();
  }
}

interface Parts {
  readonly params?: unknown;
  readonly query?: unknown;
  readonly body?: unknown;
}

function send(address: ApiAddress, name: RouteName, { params, query, body }: Parts, signal: AbortSignal): Promise<IncomingMessage> {
  const route: Route = ROUTES[name];
  const url = urlOf(address, route, params as Readonly<Record<string, string>> | undefined, query);
  const text = route.method === 'GET' ? undefined : JSON.stringify(body ?? {});
  const options = {
    method: route.method,
    signal,
    agent: false as const,
    headers: {
      accept: route.lines === true ? 'application/x-ndjson' : 'application/json',
      ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      ...(address.deployment === undefined ? {} : { [DEPLOYMENT_HEADER]: address.deployment }),
      ...(address.token === undefined ? {} : { authorization: `Bearer ${address.token}` }),
    },
  };
  return new Promise((resolve, reject) => {
    const sending =
      url.protocol === 'https:'
        ? requestHttps(url, { ...options, ...(address.ca === undefined ? {} : { ca: address.ca }) }, resolve)
        : requestHttp(url, options, resolve);
    sending.on('error', (error) => reject(unreachableServer(address, error)));
    sending.end(text);
  });
}

function urlOf(address: ApiAddress, route: Route, params: Readonly<Record<string, string>> = {}, query: unknown = {}): URL {
  const path = route.path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ''));
  const url = new URL(`${address.url.replace(/\/+$/, '')}${path}`);
  for (const [name, value] of Object.entries(query as Readonly<Record<string, string | undefined>>))
    if (value !== undefined) url.searchParams.set(name, value);
  return url;
}

async function answerOf(address: ApiAddress, response: IncomingMessage): Promise<unknown> {
  let text = '';
  try {
    response.setEncoding('utf8');
    for await (const chunk of response) {
      text += chunk as string;
      if (text.length > MAX_ANSWER_BYTES) throw foreign(address, response);
    }
  } catch (error) {
    throw error instanceof PipelineError ? error : unreachableServer(address, error);
  }
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw foreign(address, response);
  }
  if (response.statusCode === 200) return answer;
  const error = ERROR.safeParse(answer);
  if (!error.success) throw foreign(address, response);
  if (error.data.code !== 'unauthorized') throw errorOf(error.data);
  throw new PipelineError('config', `${address.url} refuses ${address.token === undefined ? 'a command without a token' : 'the token'}.`, {
    hint: "Give the server's: api.token in the server file that --config names, or the variable NANOSYNC_API_TOKEN.",
  });
}

function foreign({ url }: ApiAddress, response: IncomingMessage): PipelineError {
  return new PipelineError('config', `What answers at ${url} is no nanosync (status ${response.statusCode}).`, {
    hint: 'Correct the address.',
  });
}
