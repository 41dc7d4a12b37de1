import { readdirSync } from 'node:fs';
import { queryAll } from '../compare/bigquery-rest.ts';
import type { ClusterScenario } from '../fault/cluster-scenario.ts';

/** All that a pipeline may leave behind, each by name. */
export interface Traces {
  readonly source: readonly string[];
  readonly topics: readonly string[];
  readonly keys: readonly string[];
  readonly sink: readonly string[];
}

/** Tables of the sink that are of no pipeline: what it remembers of all of them. */
const SHARED = /^_nanosync_(?:meta|generations|names|staged|rejected_rows)$/;

/** What there is of a pipeline in its source, bus, state store and sink, by looking into each of them. */
export async function tracesOf(scenario: ClusterScenario, pipeline: string): Promise<Traces> {
  const source = await scenario.sql<{ name: string }>(
    'SELECT slot_name AS name FROM pg_replication_slots WHERE database = current_database() UNION ALL SELECT pubname FROM pg_publication',
  );
  const entries = await (await scenario.stored()).list('');
  const tables = await queryAll(scenario.dataset, `SELECT table_name FROM \`${scenario.dataset.dataset}\`.INFORMATION_SCHEMA.TABLES`);
  return {
    source: source.map(({ name }) => name),
    topics: topics(scenario).filter((name) => name.includes(`.${pipeline}.`)),
    keys: entries.map(({ key }) => key).filter((key) => key.split('/').includes(pipeline)),
    sink: tables.map(([name]) => name ?? '').filter((name) => !SHARED.test(name)),
  };
}

/** As the broker's folder has them; those that it is about to remove are gone for everybody. */
function topics({ folders }: ClusterScenario): readonly string[] {
  const partitions = readdirSync(folders.kafka, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const names = partitions.map(({ name }) => name).filter((name) => !name.endsWith('-delete') && /-\d+$/.test(name));
  return [...new Set(names.map((name) => name.replace(/-\d+$/, '')))];
}
