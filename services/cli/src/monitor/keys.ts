/** What a key means to the monitor. */
export type Key = 'up' | 'down' | 'page-up' | 'page-down' | 'first' | 'last' | 'enter' | 'back' | 'quit';

/** The keys as terminals send them, those of `less` and `vi` too. Raw Ctrl-C is a character like any other. */
const KEYS: Readonly<Record<string, Key>> = {
  '\u001b[A': 'up',
  '\u001bOA': 'up',
  k: 'up',
  '\u001b[B': 'down',
  '\u001bOB': 'down',
  j: 'down',
  '\u001b[5~': 'page-up',
  '\u001b[6~': 'page-down',
  ' ': 'page-down',
  '\u001b[H': 'first',
  '\u001bOH': 'first',
  '\u001b[1~': 'first',
  g: 'first',
  '\u001b[F': 'last',
  '\u001bOF': 'last',
  '\u001b[4~': 'last',
  G: 'last',
  '\r': 'enter',
  '\n': 'enter',
  '\u001b[C': 'enter',
  '\u001bOC': 'enter',
  '\u001b': 'back',
  '\u001b[D': 'back',
  '\u001bOD': 'back',
  '\u007f': 'back',
  q: 'quit',
  Q: 'quit',
  '\u0003': 'quit',
};

/** An escape sequence, or one character. */
const PRESSED = new RegExp(`${'\u001b'}(?:\\[[0-9;?]*[ -/]*[@-~]|O[@-~])|[\\s\\S]`, 'g');

/** The keys in what a terminal sent at once; others are passed over, whole. */
export function keysOf(input: string): readonly Key[] {
  const pressed = input.match(PRESSED) ?? [];
  return pressed.flatMap((each) => (Object.hasOwn(KEYS, each) ? [KEYS[each] as Key] : []));
}
