import { createHash, timingSafeEqual } from 'node:crypto';
import type { ApiParts } from '@nanosync/api';
import { ApiFault, isLoopback } from '@nanosync/api';

/** What the guard looks at. */
export interface Knock {
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly authorization: string | undefined;
  /** Which deployment is meant, where that was said. */
  readonly deployment: string | undefined;
}

/**
 * Makes the check that every request passes before anything of it is read. On loopback the host name must be one of loopback: a page whose
 * name was bound to 127.0.0.1 sends its own. No page of a browser is let in at all. Where there is a token, it must be shown.
 */
export function guard({ listen, token, deployment: own }: Pick<ApiParts, 'listen' | 'token' | 'deployment'>): (knock: Knock) => void {
  const expected = token === undefined ? undefined : digest(token);
  const mustBeLocal = isLoopback(listen.host);
  return ({ host = '', origin, authorization, deployment }) => {
    if (origin !== undefined) throw new ApiFault('wrong-host', 'This API answers programs, not pages of a browser.');
    if (mustBeLocal && !isLoopback(hostName(host)))
      throw new ApiFault('wrong-host', 'The host of the request is not one of this machine.', 'Ask by 127.0.0.1 or localhost.');
    if (deployment !== undefined && own !== undefined && deployment !== own)
      throw new ApiFault(
        'wrong-host',
        'The server that answers here belongs to another deployment than the server file.',
        'Give each deployment on this machine an address of its own with api.listen.',
      );
    if (expected === undefined) return;
    // Digests have one length, so the comparison takes one time whatever was shown.
    const shown = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? '';
    if (!timingSafeEqual(digest(shown), expected))
      throw new ApiFault('unauthorized', 'The token is missing or not the one of this server.', 'Send it as: Authorization: Bearer TOKEN');
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** The name of a Host header without its port. */
function hostName(host: string): string {
  return host.replace(/:\d*$/, '').toLowerCase();
}
