/** Where a BigQuery is, and who asks. */
export interface BigQueryPlace {
  /** `https://bigquery.googleapis.com`, or an emulator's address. */
  readonly url: string;
  readonly project: string;
  /** An OAuth access token; an emulator needs none. */
  readonly token?: string;
}

/** One page of a query's rows, each cell as text or null. */
export type Page = readonly (readonly (string | null)[])[];

interface Reply {
  readonly jobComplete?: boolean;
  readonly jobReference?: { readonly jobId: string; readonly location?: string };
  readonly rows?: readonly { readonly f: readonly { readonly v: string | null }[] }[];
  readonly pageToken?: string;
  readonly errors?: readonly { readonly message: string }[];
  readonly error?: { readonly message: string };
}

/** Rows of a page at most; BigQuery ends a page at 10 MB anyway. */
const PAGE_ROWS = 20_000;
/** How long one request waits at the server for a query that is not done. */
const WAIT_MS = 30_000;

/** Runs a query and yields its pages, the next one under way while a page is looked at. Plain REST: no client library. */
export async function* queryPages(place: BigQueryPlace, query: string, signal?: AbortSignal): AsyncGenerator<Page> {
  const body = { query, useLegacySql: false, maxResults: PAGE_ROWS, timeoutMs: WAIT_MS };
  let reply = await ask(place, 'queries', { method: 'POST', body: JSON.stringify(body) }, signal);
  const { jobId = '', location } = reply.jobReference ?? {};
  const more = (pageToken?: string) => {
    const about = { maxResults: PAGE_ROWS, timeoutMs: WAIT_MS, ...(location && { location }), ...(pageToken && { pageToken }) };
    const parameters = new URLSearchParams(Object.entries(about).map(([name, value]) => [name, String(value)] as [string, string]));
    return ask(place, `queries/${jobId}?${parameters}`, { method: 'GET' }, signal);
  };
  while (reply.jobComplete !== true) reply = await more();
  for (;;) {
    const next = reply.pageToken === undefined ? undefined : more(reply.pageToken);
    next?.catch(() => undefined); // Whoever stops reading does not wait for it.
    const page = (reply.rows ?? []).map((row) => row.f.map(({ v }) => v));
    if (page.length > 0) yield page;
    if (next === undefined) return;
    reply = await next;
  }
}

/** All rows of a query that finds few. */
export async function queryAll(place: BigQueryPlace, query: string): Promise<Page> {
  const rows: (readonly (string | null)[])[] = [];
  for await (const page of queryPages(place, query)) rows.push(...page);
  return rows;
}

/** A refused query is an error here, however it is told: the emulator answers 200 with no rows and an `errors` list. */
async function ask(place: BigQueryPlace, path: string, init: RequestInit, signal?: AbortSignal): Promise<Reply> {
  const response = await fetch(`${place.url}/bigquery/v2/projects/${place.project}/${path}`, {
    ...init,
    headers: { 'content-type': 'application/json', ...(place.token !== undefined && { authorization: `Bearer ${place.token}` }) },
    ...(signal !== undefined && { signal }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`BigQuery answered ${response.status}: ${text.slice(0, 500)}`);
  const reply = JSON.parse(text) as Reply;
  const message = reply.error?.message ?? reply.errors?.[0]?.message;
  if (message !== undefined) throw new Error(`BigQuery refused a query: ${message}`);
  return reply;
}
