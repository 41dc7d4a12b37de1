import type { CanonicalColumn, ColumnPair, Forms } from './canonical.ts';
import { FORMS, quoteName } from './canonical.ts';

/** A name as an identifier of BigQuery. */
export function quoteBigQuery(name: string): string {
  return `\`${name.replaceAll('\\', '\\\\').replaceAll('`', '\\`')}\``;
}

/**
 * The text forms of a column against BigQuery, from the documentation of the two alone. The emulator is DuckDB behind a translator:
 * each form is one that gives the same text there and in BigQuery.
 */
export function canonicalBigQuery({ name, sourceType, sinkType }: ColumnPair): CanonicalColumn {
  const source = quoteName(name);
  const x = `compared.${quoteBigQuery(name)}`;
  const form = SINK_FORMS[sinkType.toUpperCase().replace(/[(<].*/, '')];
  // Text holds PostgreSQL's own text, character for character.
  if (form === undefined) return { name, source: `concat(${source})`, sink: `CAST(${x} AS STRING)`, free: true };
  const { read } = form;
  return { name, source: form.source(sourceType)(source), sink: form.sink(x), free: false, ...(read !== undefined && { read }) };
}

interface SinkForm {
  /** The source's text for one of its types. */
  readonly source: (sourceType: string) => Forms['source'];
  readonly sink: (x: string) => string;
  readonly read?: (text: string) => string;
}

const ofSource = (sourceType: string): Forms['source'] => FORMS[sourceType]?.source ?? ((x) => `concat(${x})`);
const cast = (x: string) => `CAST(${x} AS STRING)`;
const plain: SinkForm = { source: ofSource, sink: cast };
/** Neither end's trailing zeros mean anything: BigQuery keeps no scale, the emulator pads to that of the column. */
const exact: SinkForm = {
  source: () => (x) => `trim_scale(${x})::text`,
  sink: (x) => `IF(STRPOS(${cast(x)}, '.') > 0, RTRIM(RTRIM(${cast(x)}, '0'), '.'), ${cast(x)})`,
};

const SINK_FORMS: Readonly<Record<string, SinkForm>> = {
  BOOL: plain,
  INT64: plain,
  NUMERIC: exact,
  BIGNUMERIC: exact,
  // Seventeen digits name a double exactly; a plain cast may drop the sign of zero. BigQuery cannot show the bits, so that is done here.
  FLOAT64: {
    source: () => (x) => (FORMS.float8 as Forms).source(`${x}::float8`),
    sink: (x) => `FORMAT('%.17g', ${x})`,
    read: doubleBits,
  },
  BYTES: { source: ofSource, sink: (x) => `TO_HEX(${x})` },
  TIMESTAMP: { source: ofSource, sink: (x) => cast(`UNIX_MICROS(${x})`) },
  DATETIME: { source: ofSource, sink: (x) => cast(`DATETIME_DIFF(${x}, DATETIME '1970-01-01 00:00:00', MICROSECOND)`) },
  DATE: { source: ofSource, sink: (x) => cast(`UNIX_DATE(${x})`) },
  TIME: { source: ofSource, sink: (x) => cast(`TIME_DIFF(${x}, TIME '00:00:00', MICROSECOND)`) },
};

const SPECIAL: Readonly<Record<string, number>> = { inf: Infinity, '+inf': Infinity, '-inf': -Infinity };

/** The text of a double as the 64 digits of its bits, as PostgreSQL is asked for them. */
function doubleBits(text: string): string {
  const lower = text.toLowerCase();
  if (lower === 'nan' || lower === '-nan') return 'NaN';
  const bits = new BigUint64Array(new Float64Array([SPECIAL[lower] ?? Number(text)]).buffer)[0] as bigint;
  return bits.toString(2).padStart(64, '0');
}
