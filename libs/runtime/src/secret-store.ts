import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PipelineError } from '@nanosync/core';
import type { Environment } from './environment.ts';

/** Where a container platform mounts secrets, one file each. */
const SECRETS_DIRECTORY = '/run/secrets';

/**
 * Where `${secret:NAME}` is looked up. The secret manager of a cloud is one more of these: it goes into `SecretSources.stores`, and nothing else
 * has to know of it.
 */
export interface SecretStore {
  /** Where a user puts a secret of this name, for messages: `the file NAME of the secrets folder`. */
  place(name: string): string;
  /** The secret, or undefined where there is none of this name. Asked anew whenever a connection is opened. Throws `config` or `unavailable`. */
  find(name: string): Promise<string | undefined>;
}

/** The stores that are asked unless others are given, one after the other: files of a folder, then the environment. */
export function secretStores(env: Environment, directory?: string): readonly SecretStore[] {
  return [fileSecrets(directory ?? env.NANOSYNC_SECRETS_DIR ?? SECRETS_DIRECTORY), environmentSecrets(env)];
}

/** One file a secret; a line end at its end is not part of it. */
export function fileSecrets(folder: string): SecretStore {
  return {
    place: (name) => `the file ${name} of the secrets folder`,
    find: async (name) => {
      try {
        return (await readFile(join(folder, name), 'utf8')).replace(/\r?\n$/, '');
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
        throw new PipelineError('config', `secret ${name} cannot be read from ${folder}.`, {
          hint: 'Check the file’s rights.',
          cause: error,
        });
      }
    },
  };
}

/** A variable of the environment a secret. */
export function environmentSecrets(env: Environment): SecretStore {
  return { place: (name) => `the environment variable ${name}`, find: async (name) => env[name] };
}
