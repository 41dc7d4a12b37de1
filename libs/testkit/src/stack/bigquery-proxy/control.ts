import type { ServerResponse } from 'node:http';
import type { SeenRequest } from './bigquery-proxy.ts';
import type { Fault, FaultPlan, PlannedFault } from './faults.ts';

/** Below this path the proxy itself is spoken to. */
export const CONTROL_PATH = '/_proxy/';

/** A control request and what it is about. */
export interface ControlCall {
  readonly method: string;
  readonly path: string;
  readonly body: Buffer;
  readonly faults: FaultPlan;
  readonly requests: () => readonly SeenRequest[];
}

/** Answers one control request. */
export async function answerControl(call: ControlCall, response: ServerResponse): Promise<void> {
  try {
    const value = await perform(call);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value ?? null));
  } catch (error) {
    response.writeHead(400, { 'content-type': 'text/plain' }).end((error as Error).message);
  }
}

async function perform({ method, path, body, faults, requests }: ControlCall): Promise<unknown> {
  const url = new URL(path, 'http://proxy');
  const [noun, id, verb] = url.pathname.slice(CONTROL_PATH.length).split('/');
  switch (`${method} ${[noun, id === undefined ? undefined : ':id', verb].filter(Boolean).join('/')}`) {
    case 'GET requests':
      return requests();
    case 'GET faults':
      return faults.list();
    case 'POST faults':
      return faults.add(JSON.parse(body.toString()) as Fault);
    case 'DELETE faults':
      return faults.remove();
    case 'DELETE faults/:id':
      return faults.remove(Number(id));
    case 'POST faults/:id/release':
      return faults.release(Number(id));
    case 'GET faults/:id/hit':
      return faults.hit(Number(id), Number(url.searchParams.get('times') ?? 1));
    default:
      throw new Error(`the proxy knows no ${method} ${path}`);
  }
}

/** A proxy in another process, or in this one; see {@link FaultPlan} for what the calls mean. */
export interface ProxyControl {
  add(fault: Fault): Promise<number>;
  hit(id: number, times?: number): Promise<void>;
  release(id: number): Promise<void>;
  remove(id?: number): Promise<void>;
  list(): Promise<readonly PlannedFault[]>;
  requests(): Promise<readonly SeenRequest[]>;
}

/** Speaks to the proxy at `url`. */
export function controlProxy(url: string): ProxyControl {
  const call = async <T>(method: string, path: string, value?: unknown): Promise<T> => {
    const reply = await fetch(`${url}${CONTROL_PATH}${path}`, { method, ...(value === undefined ? {} : { body: JSON.stringify(value) }) });
    if (!reply.ok) throw new Error(await reply.text());
    return (await reply.json()) as T;
  };
  return {
    add: (fault) => call('POST', 'faults', fault),
    hit: (id, times = 1) => call('GET', `faults/${id}/hit?times=${times}`),
    release: (id) => call('POST', `faults/${id}/release`),
    remove: (id) => call('DELETE', id === undefined ? 'faults' : `faults/${id}`),
    list: () => call('GET', 'faults'),
    requests: () => call('GET', 'requests'),
  };
}
