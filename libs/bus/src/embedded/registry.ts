import { createHash } from 'node:crypto';
import { PipelineError, type Registry } from '@nanosync/core';
import type { LogStore } from './log-store.ts';

/** The schema registry in the bus's own index. A schema's text has one id under all subjects, as in Confluent's registry. */
export function embeddedRegistry(store: LogStore): Registry {
  return {
    register: async (subject, schema) => {
      store.assertOpen();
      store.index.refresh();
      const name = `schema-id:${createHash('sha256').update(schema).digest('hex')}`;
      const known = store.index.get<number>(name);
      if (known !== undefined && store.index.get(`subject:${subject}/${known}`) !== undefined) return known;
      return store.submit({
        apply: () => {
          const id = store.index.get<number>(name) ?? store.index.count('schema');
          store.index.put(name, id);
          store.index.put(`schema:${id}`, schema);
          store.index.put(`subject:${subject}/${id}`, true);
          return id;
        },
      });
    },
    schema: async (id) => {
      store.assertOpen();
      store.index.refresh();
      const schema = store.index.get<string>(`schema:${id}`);
      if (schema !== undefined) return schema;
      throw new PipelineError('gap', `The registry has no schema ${id}.`, {
        hint: 'Resnapshot the pipeline if the registry was restored.',
      });
    },
  };
}
