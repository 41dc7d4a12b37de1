/** A comment that says where an invariant is upheld: `// Invariant 'gate': why here`. */
export interface InvariantMark {
  readonly path: string;
  readonly line: number;
  readonly name: string;
}

const MARK = /^\s*\/\/ Invariant '([a-z-]+)': \S/;

/** The marks of one source, in order. */
export function marksIn(path: string, text: string): readonly InvariantMark[] {
  return text.split('\n').flatMap((source, index) => {
    const name = MARK.exec(source)?.[1];
    return name === undefined ? [] : [{ path, line: index + 1, name }];
  });
}
