/** Columns left of everything but the numbered steps. */
const INDENT = 10;
/** What a bar's line holds besides the bar, at most: table, partitions, rows, rows a second and phase. */
const TEXT_OF_BAR = 70;

/** One line that stands for a thing under way: redrawn in place on a terminal, printed when it changed elsewhere. */
export interface BarLine {
  readonly text: string;
  /** Off a terminal the line is printed when this changes, and not while it is empty. */
  readonly milestone: string;
}

/** The demo's output. On a terminal the block of bars stays at the bottom; elsewhere there are lines only, no control characters. */
export class Screen {
  readonly #out: NodeJS.WriteStream;
  readonly #live: boolean;
  readonly #milestones = new Map<number, string>();
  readonly #began = performance.now();
  #drawn = 0;
  #bars: readonly string[] = [];
  #step = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
    this.#live = out.isTTY === true && process.env.TERM !== 'dumb';
  }

  /** How wide a bar may be, so that its line fits. */
  get barWidth(): number {
    return Math.min(24, Math.max(4, this.#width - 1 - this.#barIndent - TEXT_OF_BAR));
  }

  /** Where the line of a bar begins: below everything else, or further left where the terminal is narrow. */
  get #barIndent(): number {
    return Math.min(INDENT, Math.max(1, this.#width - 1 - TEXT_OF_BAR - 8));
  }

  get #width(): number {
    // A terminal may say that it has no columns at all.
    return this.#live ? this.#out.columns || 80 : 108;
  }

  /** Begins a numbered step. */
  step(text: string): void {
    this.endBars();
    this.#step++;
    const seconds = ((performance.now() - this.#began) / 1000).toFixed(1).padStart(6);
    const lead = `${seconds} s  `;
    const title = this.#fitted(`${lead}${this.#step}. ${text}`).slice(lead.length);
    this.#out.write(`\n${lead}${this.#bold(title)}\n`);
  }

  /** Prints a line for good, above the bars; on a terminal a long one goes on below its own beginning. */
  line(text: string): void {
    this.#erase();
    this.#out.write(`${this.#fitted(text)}\n`);
    this.#draw();
  }

  /** An indented line that stays one line, to be copied. */
  command(text: string): void {
    this.#erase();
    this.#out.write(`${' '.repeat(INDENT)}${text}\n`);
    this.#draw();
  }

  /** An indented line. */
  detail(text: string): void {
    this.line(`${' '.repeat(INDENT)}${text}`);
  }

  /** Shows the bars as they are now. */
  bars(lines: readonly BarLine[]): void {
    if (this.#live) {
      this.#erase();
      this.#bars = lines.map((line) => `${' '.repeat(this.#barIndent)}${line.text}`.slice(0, this.#width - 1));
      this.#draw();
      return;
    }
    for (const [index, line] of lines.entries()) {
      if (line.milestone === '' || this.#milestones.get(index) === line.milestone) continue;
      this.#milestones.set(index, line.milestone);
      this.#out.write(`${' '.repeat(INDENT)}${line.text}\n`);
    }
  }

  /** Leaves the bars as they stand. */
  endBars(): void {
    this.#bars = [];
    this.#drawn = 0;
    this.#milestones.clear();
  }

  #erase(): void {
    if (this.#drawn > 0) this.#out.write(`\u001b[${this.#drawn}A\u001b[0J`);
    this.#drawn = 0;
  }

  #draw(): void {
    if (this.#bars.length === 0) return;
    this.#out.write(`${this.#bars.join('\n')}\n`);
    this.#drawn = this.#bars.length;
  }

  #fitted(text: string): string {
    const lines = text.split('\n');
    return this.#live ? lines.map((line) => wrapped(line, this.#width)).join('\n') : text;
  }

  #bold(text: string): string {
    return this.#live ? `\u001b[1m${text}\u001b[22m` : text;
  }
}

/** A line cut at blanks into lines of less than `width`, the further ones indented as the first one's text. */
export function wrapped(text: string, width: number): string {
  const indent = ' '.repeat(/^\s*(?:\d+\.\d s {2})?(?:│ )?/.exec(text)?.[0].length ?? 0);
  const lines: string[] = [];
  let rest = text;
  while (rest.length >= width) {
    const at = rest.lastIndexOf(' ', width - 1);
    if (at <= indent.length) break;
    lines.push(rest.slice(0, at));
    rest = indent + rest.slice(at + 1);
  }
  return [...lines, rest].join('\n');
}

/** A bar of `width` characters, `done` of `all` filled. */
export function barOf(done: number, all: number, width: number): string {
  const filled = all === 0 ? 0 : Math.round((Math.min(done, all) / all) * width);
  return `${'█'.repeat(filled)}${'░'.repeat(width - filled)}`;
}

/** A number with a comma between thousands, as everywhere on the screen. */
export function count(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

/** A size in the unit that fits. */
export function bytes(value: number): string {
  return value < 1e6 ? `${(value / 1e3).toFixed(1)} kB` : `${(value / 1e6).toFixed(1)} MB`;
}
