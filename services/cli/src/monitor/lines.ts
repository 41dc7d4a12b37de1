/** How a part of a line looks where colours are. What it says never depends on it. */
export type Tone = 'title' | 'good' | 'bad' | 'warning' | 'faint' | 'chosen';

/** A part of a line. */
export interface Span {
  readonly text: string;
  readonly tone?: Tone;
}

/** A line of the screen. */
export type Line = readonly Span[];

const CUT = '…';

/** A line of one look. */
export function line(text: string, tone?: Tone): Line {
  return [span(text, tone)];
}

/** A part of a line. What comes from outside must not move the cursor: control characters are shown as `?`. */
export function span(text: string, tone?: Tone): Span {
  const clean = text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, '?');
  return tone === undefined ? { text: clean } : { text: clean, tone };
}

/** What a line says. */
export function textOf(spans: Line): string {
  return spans.map(({ text }) => text).join('');
}

/** The text in exactly so many characters: filled up, or cut with a sign of it. */
export function cell(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const cut = cutTo(text, width);
  return align === 'left' ? cut.padEnd(width) : cut.padStart(width);
}

/** The line in at most so many characters. */
export function fitted(spans: Line, width: number): Line {
  const kept: Span[] = [];
  let left = width;
  for (const [index, each] of spans.entries()) {
    const isLast = spans.slice(index + 1).every(({ text }) => text === '');
    if (each.text.length <= left - (isLast ? 0 : 1)) {
      kept.push(each);
      left -= each.text.length;
      continue;
    }
    kept.push({ ...each, text: cutTo(each.text.length <= left ? `${each.text}${CUT}` : each.text, left) });
    break;
  }
  return kept;
}

/** A sentence in lines of at most so many characters, broken between words; those after the first begin with the indent. */
export function wrapped(text: string, width: number, indent = ''): readonly string[] {
  const lines: string[] = [];
  let current = '';
  for (const word of text.match(/ *[^ ]+/g) ?? []) {
    const isFirst = current.trim() === '';
    if (!isFirst && current.length + word.length > width) {
      lines.push(current);
      current = indent + word.trimStart();
    } else current += word;
    while (current.length > width && width > indent.length) {
      lines.push(current.slice(0, width));
      current = indent + current.slice(width);
    }
  }
  return [...lines, current];
}

/** How much of something is done: `[####------]`. Full only when all of it is. */
export function bar(share: number, width: number): string {
  const inner = width - 2;
  const full = share >= 1 ? inner : Math.min(inner - 1, Math.floor(Math.max(0, share) * inner));
  return `[${'#'.repeat(full)}${'-'.repeat(inner - full)}]`;
}

/** Two texts at both ends of a line. */
export function apart(left: Line, right: Line, width: number): Line {
  const gap = width - textOf(left).length - textOf(right).length;
  return gap < 1 ? fitted([...left, span(' '), ...right], width) : [...left, span(' '.repeat(gap)), ...right];
}

function cutTo(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}${width > 0 ? CUT : ''}`;
}
