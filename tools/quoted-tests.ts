import { withoutComments } from './source-text.ts';

/** A test that a page or a list names: the file in which its title stands, and the title as it stands there. */
export interface QuotedTest {
  readonly path: string;
  readonly name: string;
}

/** The quoted tests that do not exist. */
export function unknownTests(read: (path: string) => string, quoted: readonly QuotedTest[]): readonly QuotedTest[] {
  return quoted.filter(({ path, name }) => !withoutComments(read(path), 'keep').includes(name));
}
