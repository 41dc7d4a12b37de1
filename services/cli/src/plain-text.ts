/** What moves a terminal's cursor, breaks a line or turns the direction of what follows. */
const MOVES = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** Text of a source, or of others, as a terminal may print it: what would act on the terminal is written as `\u001b`. */
export function plainText(text: string): string {
  return text.replace(MOVES, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
