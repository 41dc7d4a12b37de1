/** The prefix of everything that is ours in the dataset, and of our own columns. */
export const META = '_nanosync';

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', "'": "\\'", '\n': '\\n', '\r': '\\r' };

/** A text literal, or NULL. */
export function text(value: string | null): string {
  return value === null ? 'NULL' : `'${value.replace(/[\\'\n\r]/g, (char) => ESCAPES[char] ?? char)}'`;
}

/** A column's name as SQL takes it. Names with a backtick or backslash are refused before they get here. */
export function column(name: string): string {
  return `\`${name}\``;
}

/** An integer literal; refuses what is none. */
export function int(value: number): string {
  if (!Number.isSafeInteger(value)) throw new RangeError('not an integer');
  return String(value);
}

/** A statement that ends the script with an error of ours, and so rolls its transaction back, unless `condition` holds. */
export function demand(condition: string, otherwise: string): string {
  return `SELECT IF(${condition}, 1, ERROR('nanosync: ${otherwise}.'))`;
}

/**
 * The statements that change the one row of a table from exactly this owner and revision, or end the script with an error of ours. An UPDATE of
 * no row is none, so the row is counted first: a table that somebody emptied must not let the rest of its transaction pass.
 * BigQuery counts a whole table from its metadata, without reading it.
 */
export function moveRow(
  table: string,
  from: { readonly owner: string; readonly revision: number },
  sets: readonly string[],
): readonly string[] {
  const same = `owner = ${text(from.owner)} AND revision = ${int(from.revision)}`;
  const revision = `revision = IF(${same}, ${int(from.revision + 1)}, ERROR('nanosync: overtaken.'))`;
  return [demand(`(SELECT COUNT(*) FROM ${table}) = 1`, 'overtaken'), `UPDATE ${table} SET ${[revision, ...sets].join(', ')} WHERE TRUE`];
}

/** Several statements as one transaction: all of it or nothing. One alone is one by itself. */
export function transaction(statements: readonly string[]): string {
  const [first] = statements;
  if (first !== undefined && statements.length === 1) return first;
  return ['BEGIN TRANSACTION', ...statements, 'COMMIT TRANSACTION'].map((statement) => `${statement};`).join('\n');
}
