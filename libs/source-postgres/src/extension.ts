import type { Clock, FenceOptions, TableId } from '@nanosync/core';
import type { Connect } from './connection.ts';
import { passFence } from './fence.ts';
import { publicationName } from './names.ts';
import { addTables, touchPublication } from './publication.ts';

/**
 * Adds tables to the publication so that each transaction that commits from now on is streamed with all its changes of them.
 *
 * The publication is looked up as it was at the place of a change, and what was found is kept until something of it changes. A transaction
 * that was open while the tables were added can have looked before; servers before 14.18, 15.13, 16.9 and 17.5 then keep "not published" for
 * those that follow too. So: wait until all that were open are over, and change the publication once more, which makes the server forget.
 */
export async function extendPublication(
  connect: Connect,
  clock: Clock,
  request: { readonly pipeline: string; readonly tables: readonly TableId[] },
  options: FenceOptions,
): Promise<void> {
  const publication = publicationName(request.pipeline);
  await addTables(connect, publication, request.tables);
  await passFence(connect, clock, options);
  await touchPublication(connect, publication);
}
