import type { Client } from 'pg';
import { queryJson, quoteIdent } from './connection.ts';

/** How large a table is, as far as it can be told without reading it. */
export interface TableSize {
  /** Pages of the table itself now. */
  readonly pages: number;
  /** Bytes of the table and its out-of-line values. */
  readonly bytes: number;
  /** Estimated rows, 0 only for a table without pages. */
  readonly rows: number;
}

interface Statistics {
  readonly pages: number;
  readonly bytes: number;
  readonly tuples: number;
  readonly analyzedPages: number;
}

/** Pages read in each of the places where a table without statistics is sampled. */
const SAMPLE_PAGES = 8;
const SAMPLE_PLACES = 8;

const STATISTICS = `SELECT COALESCE((
  SELECT json_build_object('pages', pg_relation_size(c.oid) / current_setting('block_size')::int8,
    'bytes', pg_relation_size(c.oid) + COALESCE(pg_relation_size(NULLIF(c.reltoastrelid, 0)), 0),
    'tuples', c.reltuples, 'analyzedPages', c.relpages)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2), 'null')`;

/**
 * The size of a table: pages from the file system, rows from the density that the last ANALYZE or VACUUM saw. Without
 * statistics the density of a few pages is counted; the table as a whole never is.
 */
export async function tableSize(client: Client, schema: string, name: string): Promise<TableSize> {
  const statistics = await queryJson<Statistics | null>(client, STATISTICS, [schema, name]);
  if (statistics === null || statistics.pages === 0) return { pages: 0, bytes: 0, rows: 0 };
  const { pages, bytes, tuples, analyzedPages } = statistics;
  // reltuples is -1 before the first ANALYZE; 0 may be true of a table that was filled since.
  const density = tuples > 0 && analyzedPages > 0 ? tuples / analyzedPages : await sampleDensity(client, schema, name, pages);
  return { pages, bytes, rows: Math.max(1, density * pages) };
}

async function sampleDensity(client: Client, schema: string, name: string, pages: number): Promise<number> {
  const places = Math.min(SAMPLE_PLACES, Math.ceil(pages / SAMPLE_PAGES));
  const starts = Array.from({ length: places }, (_, place) => Math.floor((place * pages) / places));
  const counts = starts.map(
    (start) =>
      `(SELECT count(*) FROM ONLY ${quoteIdent(schema)}.${quoteIdent(name)} WHERE ctid >= '(${start},0)' AND ctid < '(${start + SAMPLE_PAGES},0)')`,
  );
  const rows = await queryJson<number>(client, `SELECT to_json(${counts.join(' + ')})`);
  return rows / Math.min(pages, places * SAMPLE_PAGES);
}
