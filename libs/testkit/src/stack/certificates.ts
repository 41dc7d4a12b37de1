import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runTool } from './tool.ts';

/** Files of a certificate for 127.0.0.1 and localhost, in PEM. */
export interface Certificates {
  /** The authority that a client must trust. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** Key and certificate in one file. */
  readonly both: string;
}

const CURE = 'install it (Debian: apt-get install openssl); it makes the certificates of services with TLS.';
const NAMES = 'subjectAltName=IP:127.0.0.1,DNS:localhost';

/** Makes an authority and a certificate of it, once a folder. */
export async function makeCertificates(folder: string): Promise<Certificates> {
  const file = (name: string) => join(folder, name);
  const made = { ca: file('ca.pem'), cert: file('cert.pem'), key: file('key.pem'), both: file('both.pem') };
  if (existsSync(made.both)) return made;
  mkdirSync(folder, { recursive: true });
  const openssl = (...args: readonly string[]) => runTool('openssl', { args, cure: CURE });
  const key = ['-newkey', 'rsa:2048', '-nodes', '-days', '3650'];
  await openssl('req', '-x509', ...key, '-subj', '/CN=nanosync test authority', '-keyout', file('ca-key.pem'), '-out', made.ca);
  const signer = ['-CA', made.ca, '-CAkey', file('ca-key.pem')];
  const request = file('request.pem');
  await openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=127.0.0.1', '-keyout', made.key, '-out', request);
  writeFileSync(file('names'), NAMES);
  await openssl(
    'x509',
    '-req',
    '-in',
    request,
    ...signer,
    '-CAcreateserial',
    '-days',
    '3650',
    '-extfile',
    file('names'),
    '-out',
    made.cert,
  );
  writeFileSync(made.both, readFileSync(made.key, 'utf8') + readFileSync(made.cert, 'utf8'), { mode: 0o600 });
  return made;
}
