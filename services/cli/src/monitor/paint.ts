import type { Line, Tone } from './lines.ts';
import { textOf } from './lines.ts';

const ESC = '\u001b[';
/** SGR attributes of each look: none sets a background, so that dark and light terminals are as they were. */
const LOOKS: Record<Tone, string> = { title: '1', good: '32', bad: '1;31', warning: '33', faint: '2', chosen: '7' };

/** Takes the alternate screen, hides the cursor and cuts what is too long instead of breaking it. */
export const ENTER = `${ESC}?1049h${ESC}?25l${ESC}?7l${ESC}2J`;
/** Gives the terminal back as it was. */
export const LEAVE = `${ESC}0m${ESC}?7h${ESC}?25h${ESC}?1049l`;

/** What a terminal is sent to show these lines from its top, over what it showed. */
export function painted(lines: readonly Line[], colours: boolean): string {
  // Erased before it is written: behind the last column of a terminal that cuts, the cursor stands on the last character.
  const shown = lines.map((spans) => `${ESC}2K${colours ? spans.map(paintedSpan).join('') : textOf(spans)}`);
  return `${ESC}H${shown.join('\r\n')}`;
}

function paintedSpan({ text, tone }: Line[number]): string {
  return tone === undefined || text === '' ? text : `${ESC}${LOOKS[tone]}m${text}${ESC}0m`;
}
