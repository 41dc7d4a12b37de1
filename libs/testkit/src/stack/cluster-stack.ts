import { inject } from 'vitest';
import type {} from './cluster-setup.ts';
import type { ServiceName, StackAddresses } from './stack.ts';

/**
 * The addresses of shared services, for tests of vitest's project `cluster`; they are started on first use. Others use them at the
 * same time: take topics, key prefixes and datasets of your own, and start a service of your own to disturb it.
 */
export async function clusterStack<Name extends ServiceName>(...names: readonly Name[]): Promise<Pick<StackAddresses, Name>> {
  const url = inject('stackUrl');
  const addresses = names.map(async (name) => {
    const reply = (await (await fetch(`${url}/${name}`)).json()) as { readonly address: StackAddresses[Name]; readonly error?: string };
    if (reply.error !== undefined) throw new Error(`The shared ${name} could not be started: ${reply.error}`);
    return [name, reply.address] as const;
  });
  return Object.fromEntries(await Promise.all(addresses)) as unknown as Pick<StackAddresses, Name>;
}
