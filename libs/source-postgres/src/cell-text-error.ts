/** A value that its column's kind cannot hold. The message names the trouble, never the value. */
export class CellTextError extends Error {
  override readonly name = 'CellTextError';
}
