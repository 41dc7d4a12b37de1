import type { Size } from './screen.ts';

/** The terminal of a command that takes all of it. Disposed: it is as it was. */
export interface Terminal extends Disposable {
  /** As it is now; it may be made larger or smaller at any time. */
  size(): Size;
  write(text: string): void;
  /** Hears what is typed, as the terminal sends it. */
  onInput(listener: (input: string) => void): void;
  onResize(listener: () => void): void;
  /** Aborts when nobody sits there any more. */
  readonly gone: AbortSignal;
}
