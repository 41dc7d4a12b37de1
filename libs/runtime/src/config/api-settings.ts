import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { PipelineError } from '@nanosync/core';
import { z } from 'zod';
import type { SecretSources } from '../secrets.ts';
import { hasReference, referenceProblem, resolveTexts } from '../secrets.ts';
import type { ConfigProblems } from './yaml-file.ts';

/** Where the planner's API is. As parsed it has references and paths of files. */
export interface ApiSettings {
  /** Undefined: loopback, on the cluster's port or on one that is free. */
  readonly listen: { readonly host: string; readonly port: number } | undefined;
  readonly token: string | undefined;
  /** What clients use, where it is not what the server listens on. */
  readonly url: string | undefined;
  /** Undefined: none. `cert` and `key` are the server's, `ca` is for clients. */
  readonly tls: { readonly cert: string | undefined; readonly key: string | undefined; readonly ca: string | undefined } | undefined;
}

/** The settings without a section `api`. */
export const DEFAULT_API_SETTINGS: ApiSettings = Object.freeze({ listen: undefined, token: undefined, url: undefined, tls: undefined });

/** The section `api` of a server file. */
export const API_SECTION = z.strictObject({
  listen: z.string().optional(),
  token: z.string().optional(),
  url: z.string().optional(),
  tls: z.strictObject({ cert: z.string().optional(), key: z.string().optional(), ca: z.string().optional() }).optional(),
});
type ApiSection = z.output<typeof API_SECTION>;

const LISTEN = /^([^\s:[\]]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})$/;
/** Shorter ones are guessed. */
const TOKEN_LENGTH = 16;

/** Adds what the shape alone cannot say. */
export function checkApi(api: ApiSection | undefined, problems: ConfigProblems): void {
  if (api === undefined) return;
  const { listen, token, url, tls } = api;
  if (listen !== undefined && listenOf(listen) === undefined)
    problems.add(['api', 'listen'], `${JSON.stringify(listen)} is no address to listen on; write it like 127.0.0.1:7667`);
  const bad = token === undefined ? undefined : referenceProblem(token);
  if (bad !== undefined) problems.add(['api', 'token'], bad);
  else if (token !== undefined && !hasReference(token) && token.length < TOKEN_LENGTH)
    problems.add(['api', 'token'], `is too short; give at least ${TOKEN_LENGTH} random characters`);
  if (url !== undefined && !/^https?:\/\/[^\s/?#]+\/?$/.test(url))
    problems.add(['api', 'url'], 'is no address; write it like https://host:port');
  if ((tls?.cert === undefined) !== (tls?.key === undefined)) problems.add(['api', 'tls'], 'has one of cert and key; give both', 'key');
}

/** The settings that the section describes. Paths are relative to the server file. */
export function apiOf(api: ApiSection | undefined, file: string): ApiSettings {
  if (api === undefined) return DEFAULT_API_SETTINGS;
  const path = (written: string | undefined) => (written === undefined ? undefined : resolve(dirname(file), written));
  const { listen, token, url, tls } = api;
  return {
    listen: listen === undefined ? undefined : listenOf(listen),
    token,
    url: url?.replace(/\/$/, ''),
    tls: tls === undefined ? undefined : { cert: path(tls.cert), key: path(tls.key), ca: path(tls.ca) },
  };
}

/** The token with its references filled in; the redactor knows it from then on. */
export async function resolveApiToken({ token }: ApiSettings, sources: SecretSources): Promise<string | undefined> {
  const resolved = (await resolveTexts('api', { token }, sources)).token;
  if (resolved === undefined || resolved.length >= TOKEN_LENGTH) return resolved;
  throw new PipelineError('config', 'api.token is too short.', { hint: `Give at least ${TOKEN_LENGTH} random characters.` });
}

/** The text of one of the TLS files, or undefined where none is named. */
export function readApiPem({ tls }: ApiSettings, which: 'cert' | 'key' | 'ca'): string | undefined {
  const path = tls?.[which];
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new PipelineError('config', `api.tls.${which} names ${path}, which cannot be read (${code}).`, {
      hint: 'Correct the path, which is relative to the server file, or the file’s rights.',
      cause: error,
    });
  }
}

function listenOf(text: string): { readonly host: string; readonly port: number } | undefined {
  const match = LISTEN.exec(text);
  if (match === null || Number(match[2]) > 65_535) return undefined;
  return { host: match[1] as string, port: Number(match[2]) };
}
