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
    return Math.min(24, Math.max(6, this.#width - 84));
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
    this.line(`\n${seconds} s  ${this.#bold(`${this.#step}. ${text}`)}`);
  }

  /** Prints a line for good, above the bars. */
  line(text: string): void {
    this.#erase();
    this.#out.write(`${text}\n`);
    this.#draw();
  }

  /** An indented line. */
  detail(text: string): void {
    this.line(`          ${text}`);
  }

  /** Shows the bars as they are now. */
  bars(lines: readonly BarLine[]): void {
    if (this.#live) {
      this.#erase();
      this.#bars = lines.map((line) => `    ${line.text}`.slice(0, this.#width - 1));
      this.#draw();
      return;
    }
    for (const [index, line] of lines.entries()) {
      if (line.milestone === '' || this.#milestones.get(index) === line.milestone) continue;
      this.#milestones.set(index, line.milestone);
      this.#out.write(`          ${line.text}\n`);
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

  #bold(text: string): string {
    return this.#live ? `\u001b[1m${text}\u001b[22m` : text;
  }
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
