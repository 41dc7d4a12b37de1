/** Awkward values of the types that have a kind of their own, as SQL. For tests. */
export const TYPE_MATRIX: Readonly<Record<string, readonly string[]>> = {
  smallint: ['-32768', '32767', '0', '-1'],
  int: ['-2147483648', '2147483647', '0', '-1', '63', '64', '-64', '-65', '1073741823', '1073741824', '-1073741825'],
  bigint: [
    '-9223372036854775808',
    '9223372036854775807',
    '0',
    '-1',
    '4294967295',
    '4294967296',
    '-4294967296',
    '-4294967297',
    '1125899906842624',
    '72057594037927936',
  ],
  bool: ['true', 'false'],
  'numeric(12,2)': [
    '0',
    '0.01',
    '-0.01',
    '1.28',
    '-1.28',
    '1.27',
    '-1.29',
    '327.67',
    '327.68',
    '9999999999.99',
    '-9999999999.99',
    '100',
    '10000',
    '0.1',
  ],
  'numeric(38,0)': [
    '99999999999999999999999999999999999999',
    '-99999999999999999999999999999999999999',
    '9007199254740991',
    '9007199254740992',
    '9007199254740993',
    '-9007199254740993',
    '1e37',
    '0',
  ],
  'numeric(38,38)': ['0.99999999999999999999999999999999999999', '1e-38', '-1e-38', '0'],
  'numeric(20,10)': ['0.0000000001', '123456789.0987654321', '-1234567890.0000000001', '100000000', '0.0001', '0.00001'],
  'double precision': ['0', '-1.5', '1e308', '5e-324', "'NaN'", "'Infinity'", "'-Infinity'", '0.1'],
  text: ["''", "'a'", "repeat('x', 47)", "repeat('x', 48)", "repeat('ü', 5000)", 'E\'tab\\t\\n\\\\ "quote"\'', "'😀'"],
  'varchar(10)': ["'abc'"],
  'char(5)': ["'ab'", "''"],
  name: ["'some_name'"],
  uuid: ["'00112233-4455-6677-8899-aabbccddeeff'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
  json: [`'{"b": 1.10,  "a": [1, 2], "a": null}'`, `'"\\u0000"'`],
  jsonb: [`'{"b": 1.10, "a": [1, 2]}'`, "'null'"],
  bytea: ["''", "'\\x00ff10'", "decode(repeat('ab', 3000), 'hex')"],
};

/** Values of types without a kind of their own, as SQL and as their output function prints them. For tests. */
export const TEXT_MATRIX: Readonly<Record<string, readonly [string, string][]>> = {
  real: [
    ['0.1', '0.1'],
    ['1e10', '1e+10'],
  ],
  numeric: [
    ['1.10', '1.10'],
    ["'NaN'", 'NaN'],
    ["'-Infinity'", '-Infinity'],
    ['1e50', `1${'0'.repeat(50)}`],
  ],
  'numeric(3,-2)': [['12345', '12300']],
  'numeric(2,4)': [['0.0012', '0.0012']],
  inet: [
    ["'10.0.0.1'", '10.0.0.1'],
    ["'10.0.0.0/8'", '10.0.0.0/8'],
  ],
  'int[]': [
    ["'{1,NULL,3}'", '{1,NULL,3}'],
    ["'{}'", '{}'],
  ],
  'date[]': [["'{2024-01-02}'", '{2024-01-02}']],
  interval: [["'1 year 2 days 03:04:05.678'", '1 year 2 days 03:04:05.678']],
  timetz: [["'12:00:00+02'", '12:00:00+02']],
  int4range: [["'[1,5)'", '[1,5)']],
  tstzrange: [["'[2024-01-01 00:00:00+02,)'", '["2023-12-31 22:00:00+00",)']],
  '"char"': [["'x'", 'x']],
  'bit(3)': [["B'101'", '101']],
  regclass: [["'public.m_plain'::regclass", 'public.m_plain']],
  xml: [["'<a>1</a>'", '<a>1</a>']],
  point: [["'(1,2.5)'", '(1,2.5)']],
  mood: [["'so so'", 'so so']],
  flag: [['true', 't']],
  padded: [["'ab'", 'ab   ']],
  moment: [["'2024-01-01 00:00:00+02'", '2023-12-31 22:00:00+00']],
  pair: [
    ['ROW(1, NULL)::public.pair', '(1,)'],
    ['ROW(NULL, NULL)::public.pair', '(,)'],
  ],
};

/** The types of our own that {@link TEXT_MATRIX} needs, in schema public. */
export const OWN_TYPES = `
  CREATE TYPE public.mood AS ENUM ('so so', 'fine'); CREATE DOMAIN public.flag AS bool; CREATE DOMAIN public.padded AS char(5);
  CREATE DOMAIN public.moment AS timestamptz; CREATE TYPE public.pair AS (a int, b int)`;

/** A type's name as DDL takes it. */
export function typeName(type: string): string {
  return /^(mood|flag|padded|moment|pair)$/.test(type) ? `public.${type}` : type;
}
