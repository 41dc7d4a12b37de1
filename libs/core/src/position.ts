/**
 * A place in a source's log that totally orders the changes of one pipeline.
 *
 * Canonical form: hexadecimal sections of exactly 16 upper-case digits, joined by `/`, at most four of them, so that text
 * order is position order and BigQuery takes it as `_CHANGE_SEQUENCE_NUMBER`. Every position of one pipeline has the same
 * number of sections. Only the source that made it may look inside; everyone else compares.
 */
export type Position = string & { readonly __brand: 'Position' };

const CANONICAL = /^[0-9A-F]{16}(?:\/[0-9A-F]{16}){0,3}$/;

/** Builds a position from its sections, most significant first; each must fit 64 unsigned bits. */
export function positionOf(...sections: readonly bigint[]): Position {
  if (sections.length < 1 || sections.length > 4) throw new RangeError(`a position has 1 to 4 sections, not ${sections.length}`);
  return sections.map(formatSection).join('/') as Position;
}

/** Reads a position back from text; throws on anything but the canonical form. */
export function parsePosition(text: string): Position {
  if (!CANONICAL.test(text)) throw new RangeError(`not a position: ${JSON.stringify(text.slice(0, 80))}`);
  return text as Position;
}

/** The sections of a position, most significant first. For sources only. */
export function sectionsOf(position: Position): readonly bigint[] {
  return position.split('/').map((section) => BigInt(`0x${section}`));
}

/** What is below every change of the source that this position is of. */
export function positionBelowAll(like: Position): Position {
  return like.replaceAll(/[0-9A-F]/g, '0') as Position;
}

/** Negative when `a` comes before `b`, 0 when equal, positive when after. */
export function comparePositions(a: Position, b: Position): number {
  if (a.length !== b.length) throw new RangeError('positions of different sources cannot be compared');
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The later of two positions; `undefined` is before everything. */
export function laterPosition(a: Position | undefined, b: Position): Position {
  return a === undefined || comparePositions(a, b) < 0 ? b : a;
}

/** The least of some positions, or `undefined` when there are none or one is missing: what has no position is below all. */
export function leastPosition(positions: readonly (Position | undefined)[]): Position | undefined {
  let least: Position | undefined;
  for (const position of positions) {
    if (position === undefined) return undefined;
    if (least === undefined || comparePositions(position, least) < 0) least = position;
  }
  return least;
}

function formatSection(value: bigint): string {
  if (value < 0n || value > 0xffff_ffff_ffff_ffffn) throw new RangeError('a position section must fit 64 unsigned bits');
  return value.toString(16).toUpperCase().padStart(16, '0');
}

/** A position without its leading zeros, `+` between its sections, as people are shown it; `tap --from` takes it so. */
export function shortPosition(position: string): string {
  return position
    .split('/')
    .map((section) => section.replace(/^0+(?=.)/, ''))
    .join('+');
}
