/** A column as the two ends describe it. */
export interface ColumnPair {
  readonly name: string;
  /** `typname` of the source's column. */
  readonly sourceType: string;
  /** The sink's own name of its type. */
  readonly sinkType: string;
}

/** One column as SQL text on both ends: equal cells give equal text, different cells different text. */
export interface CanonicalColumn {
  readonly name: string;
  /** SQL on PostgreSQL; never null where the cell is not. */
  readonly source: string;
  /** SQL on the sink. */
  readonly sink: string;
  /** True when the text may hold any character: it then needs its length in front of it. */
  readonly free: boolean;
  /** What is still to be done to the sink's text, where its SQL cannot; never sees null. */
  readonly read?: (text: string) => string;
}

/** A name as an SQL identifier of both ends. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/**
 * The text forms of a column. Written from the two databases' documentation alone: nothing here comes from the pipeline, so
 * that a mistake of its type mapping cannot hide itself.
 */
export function canonicalColumn(pair: ColumnPair): CanonicalColumn {
  const { name } = pair;
  const x = quoteName(name);
  const sinkType = pair.sinkType.toUpperCase();
  // A sink column of text holds PostgreSQL's own text, character for character.
  if (sinkType === 'VARCHAR' || sinkType === 'JSON') return { name, source: `concat(${x})`, sink: `CAST(${x} AS VARCHAR)`, free: true };
  const forms = FORMS[pair.sourceType];
  if (forms === undefined) return { name, source: `concat(${x})`, sink: `CAST(${x} AS VARCHAR)`, free: true };
  return { name, source: forms.source(x), sink: forms.sink(x), free: false };
}

/** The text forms of a type on the two ends. */
export interface Forms {
  readonly source: (x: string) => string;
  readonly sink: (x: string) => string;
}

const plain: Forms = { source: (x) => `${x}::text`, sink: (x) => `CAST(${x} AS VARCHAR)` };

const instant: Forms = {
  source: (x) => `CASE WHEN isfinite(${x}) THEN (extract(epoch from ${x}) * 1000000)::bigint::text ELSE ${x}::text END`,
  sink: (x) => finiteOr(x, `CAST(epoch_us(${x}) AS VARCHAR)`),
};

/** Of the source's types that have a form of their own on both ends. */
export const FORMS: Readonly<Record<string, Forms>> = {
  bool: plain,
  int2: plain,
  int4: plain,
  int8: plain,
  numeric: plain,
  uuid: plain,
  bytea: { source: (x) => `encode(${x}, 'hex')`, sink: (x) => `lower(hex(${x}))` },
  timestamptz: instant,
  timestamp: instant,
  date: {
    source: (x) => `CASE WHEN isfinite(${x}) THEN (${x} - date '1970-01-01')::text ELSE ${x}::text END`,
    sink: (x) => finiteOr(x, `CAST(${x} - DATE '1970-01-01' AS VARCHAR)`),
  },
  time: {
    source: (x) => `(extract(epoch from ${x}) * 1000000)::bigint::text`,
    sink: (x) => `CAST(epoch_us(${x}) AS VARCHAR)`,
  },
  // The 64 bits. The two ends do not print the same shortest digits: of 20,000 doubles 166 had another text on each.
  float8: {
    source: (x) => `CASE WHEN ${x} = 'NaN' THEN 'NaN' ELSE ('x' || encode(float8send(${x}), 'hex'))::bit(64)::text END`,
    sink: (x) => `CASE WHEN isnan(${x}) THEN 'NaN' ELSE CAST(CAST(${x} AS BIT) AS VARCHAR) END`,
  },
};

function finiteOr(x: string, finite: string): string {
  return `CASE WHEN isfinite(${x}) THEN ${finite} ELSE CAST(${x} AS VARCHAR) END`;
}
