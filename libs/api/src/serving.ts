import type { ServiceContext } from '@nanosync/core';
import type { PreflightPorts } from './apply/preflight.ts';

/** Where a server listens. */
export interface Listen {
  readonly host: string;
  /** 0: one that is free. */
  readonly port: number;
}

/** What a server of the API is given. */
export interface ApiParts {
  /** The ports that the handlers use; its signal ends the server. */
  readonly ctx: ServiceContext;
  readonly checkSink: PreflightPorts['checkSink'];
  readonly listen: Listen;
  /** Undefined: nobody is asked who they are; refused beyond loopback. */
  readonly token: string | undefined;
  /** PEM texts; undefined: no TLS. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** Takes secrets out of what is answered. */
  readonly redact: (text: string) => string;
  readonly version: string;
  /** Names the engines that this deployment stands on: a command that took the address from a server file of another one is refused. */
  readonly deployment: string | undefined;
  /** The services run in processes of their own, so any may be absent. */
  readonly clustered: boolean;
  /** Requests of one address a minute; default `REQUESTS_A_MINUTE`. */
  readonly requestsAMinute?: number;
  /** Answers of lines that may be open at the same time; default `STREAMS`. */
  readonly streams?: number;
}

/** A server of the API that listens. Disposed: requests that run get a moment to end. */
export interface ServedApi extends AsyncDisposable {
  /** With the port that was taken; undefined while it waits for one. */
  readonly url: string | undefined;
}

/** Where a command says which deployment it means. */
export const DEPLOYMENT_HEADER = 'nanosync-deployment';

/** True for a host that only processes of this machine reach. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host);
}
