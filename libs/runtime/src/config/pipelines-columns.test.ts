import { expect, it } from 'vitest';
import { parsePipelines } from './pipelines-file.ts';

const fileWith = (columns: string, connection = '') => `connections:
  - { name: db, type: postgres, dsn: "postgres://h/d"${connection} }
  - { name: warehouse, type: duckdb, properties: { path: ./w.duckdb } }
pipelines:
  - name: p
    source:
      connection: db
      tables: [public.users, public.orders]
      columns: ${columns}
    sink: { connection: warehouse }
`;
const parse = (columns: string, connection = '') => parsePipelines(fileWith(columns, connection), { file: 'p.yaml' });

it('says by table which columns are excluded or hashed; a table without rules is not named', () => {
  const [pipeline] = parse('{ public.users: { exclude: [ssn], hash: [email] }, public.orders: {} }', ', hash_key: "${secret:HASH_KEY}"');
  expect(pipeline?.source.columns).toEqual({ 'public.users': { exclude: ['ssn'], hash: ['email'] } });
  expect(pipeline?.source.connection.properties).toEqual({ hash_key: '${secret:HASH_KEY}' });
  expect(parse('{}')[0]?.source).not.toHaveProperty('columns');
});

it.each<[string, string, RegExp]>([
  [
    'a table that is not listed',
    '{ public.user: { exclude: [ssn] } }',
    /p\.yaml:9: .*public\.user is not among source\.tables; did you mean public\.users\?/,
  ],
  ['an unknown rule', '{ public.users: { exlude: [ssn] } }', /exlude is not a known key; did you mean exclude\?/],
  ['a column in both rules', '{ public.users: { exclude: [ssn], hash: [ssn] } }', /hash\[0\] "ssn" is named twice; keep one/],
  ['a column twice in one rule', '{ public.users: { hash: [a, a] } }', /hash\[1\] "a" is named twice/],
])('refuses %s: its values would leave the source in the open', (_, columns, what) => {
  expect(() => parse(columns)).toThrow(what);
});

it('has a version, and one of a newer nanosync is refused before anything else of it', () => {
  const file = fileWith('{}');
  expect(parsePipelines(`version: 1\n${file}`, { file: 'p.yaml' })).toEqual(parsePipelines(file, { file: 'p.yaml' }));
  const newer = () => parsePipelines(`# of tomorrow\nversion: 2\n${file.replace('sink:', 'sinks:')}`, { file: 'p.yaml' });
  expect(newer).toThrow(/^p\.yaml:2: has version 2; this nanosync reads up to 1\.$/);
  expect(newer).toThrow(expect.objectContaining({ kind: 'newer-version' }));
});

it('takes a hash key for a source alone, and only references that exist', () => {
  expect(() => parse('{}', ', hash_key: "${vault:X}"')).toThrow(/hash_key has a \$\{\.\.\.\} that is no reference/);
  const file = fileWith('{}').replace('properties: { path: ./w.duckdb }', 'properties: { path: ./w.duckdb }, hash_key: k');
  expect(() => parsePipelines(file, { file: 'p.yaml' })).toThrow(/connections\[1\]\.hash_key is for a source/);
});
