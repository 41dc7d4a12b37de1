/** Times of the demo's phases. */
export class PhaseClock {
  readonly phases: Record<string, number> = {};
  readonly #began = performance.now();
  #at = performance.now();

  lap(phase: string): void {
    const now = performance.now();
    this.phases[phase] = Math.round(now - this.#at) / 1000;
    this.#at = now;
  }

  seconds(): number {
    return Math.round(performance.now() - this.#began) / 1000;
  }
}
