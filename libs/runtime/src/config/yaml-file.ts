import { readFileSync } from 'node:fs';
import { PipelineError } from '@nanosync/core';
import type { Document, Node } from 'yaml';
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { nearest } from './suggest.ts';

/** A place in a configuration file: keys and list indexes from the top. */
export type ConfigPath = readonly (string | number)[];

/** Collects what is wrong with one file, so that a user is told everything at once. */
export class ConfigProblems {
  private readonly file: string;
  private readonly document: Document;
  private readonly lines: LineCounter;
  private readonly found = new Map<string, number>();

  constructor(file: string, document: Document, lines: LineCounter) {
    this.file = file;
    this.document = document;
    this.lines = lines;
  }

  /** Adds one problem: a text that goes on after the path (`must be text`). `key` points at the key instead of its value. */
  add(path: ConfigPath, text: string, point: 'key' | 'value' = 'value'): void {
    const line = this.lineOf(path, point);
    const place = path.length === 0 ? '' : `${formatPath(path)} `;
    this.found.set(`${this.file}:${line}: ${place}${text}`, line);
  }

  get any(): boolean {
    return this.found.size > 0;
  }

  /** Throws all problems as one PipelineError `config`, a line each in the order of the file; does nothing without any. */
  throwIfAny(): void {
    if (!this.any) return;
    const ordered = [...this.found].sort((a, b) => a[1] - b[1]).map(([text]) => text);
    throw new PipelineError('config', ordered.join('\n'));
  }

  private lineOf(path: ConfigPath, point: 'key' | 'value'): number {
    for (let length = path.length; length >= 0; length--) {
      const node = point === 'key' || length < path.length ? this.keyNode(path.slice(0, length)) : this.document.getIn(path, true);
      const start = (node as Node | null | undefined)?.range?.[0];
      if (start !== undefined) return this.lines.linePos(start).line;
    }
    return 1;
  }

  private keyNode(path: ConfigPath): unknown {
    const last = path.at(-1);
    const parent = path.length < 2 ? this.document.contents : this.document.getIn(path.slice(0, -1), true);
    if (last === undefined) return this.document.contents;
    if (!isMap(parent)) return this.document.getIn(path, true);
    return parent.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === last)?.key;
  }
}

/** Reads a configuration file; throws PipelineError `config` when it is not there. */
export function readConfigFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const what = missing ? `${file} does not exist.` : `${file} cannot be read (${(error as NodeJS.ErrnoException).code}).`;
    throw new PipelineError('config', what, { hint: 'Check the path.', cause: error });
  }
}

/** A parsed file: its data in the schema's shape, and where to report what else is wrong with it. */
export interface ParsedFile<T> {
  /** Undefined when the shape is wrong; then `problems` says why. */
  readonly data: T | undefined;
  /** What the file says, whatever its shape. */
  readonly raw: unknown;
  readonly problems: ConfigProblems;
}

/** The version of what configuration files say; one without is of this. */
const FILE_VERSION = 1;

/** The `version` key of a configuration file. A newer one is refused before anything else of the file is looked at. */
export const FILE_VERSION_KEY = z.int().min(1, 'must be at least 1').max(FILE_VERSION).optional();

/** Parses YAML and checks its shape. Broken YAML and a newer version throw at once, wrong shape is collected. */
export function parseYaml<T>(text: string, file: string, schema: z.ZodType<T>): ParsedFile<T> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problems = new ConfigProblems(file, document, lines);
  for (const error of document.errors) {
    const line = lines.linePos(error.pos[0]).line;
    throw new PipelineError('config', `${file}:${line}: is not valid YAML: ${error.message}`);
  }
  const raw: unknown = document.toJS();
  if (raw === null || raw === undefined) {
    problems.add([], 'is empty');
    return { data: undefined, raw, problems };
  }
  refuseNewer(raw, file, lines, document);
  const result = schema.safeParse(raw);
  if (result.success) return { data: result.data, raw, problems };
  const misspelt = new Set<string>();
  const issues = [...result.error.issues].sort((a, b) => Number(b.code === 'unrecognized_keys') - Number(a.code === 'unrecognized_keys'));
  for (const issue of issues) addIssue(problems, issue, { raw, schema, misspelt });
  return { data: undefined, raw, problems };
}

/** What a newer version means by a key nobody here can know. */
function refuseNewer(raw: unknown, file: string, lines: LineCounter, document: Document): void {
  const version = (raw as { readonly version?: unknown }).version;
  if (typeof version !== 'number' || version <= FILE_VERSION) return;
  const node = document.getIn(['version'], true) as { readonly range?: readonly number[] } | undefined;
  const line = lines.linePos(node?.range?.[0] ?? 0).line;
  throw new PipelineError('newer-version', `${file}:${line}: has version ${version}; this nanosync reads up to ${FILE_VERSION}.`, {
    hint: 'Run the nanosync that it was written for, or a newer one.',
  });
}

/** `pipelines[0].sink.connection`. */
export function formatPath(path: ConfigPath): string {
  return path.map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`)).join('');
}

interface IssueContext {
  readonly raw: unknown;
  readonly schema: z.ZodType;
  /** Paths of keys that an unknown key was likely meant to be: they are not reported as missing besides. */
  readonly misspelt: Set<string>;
}

function addIssue(problems: ConfigProblems, issue: z.core.$ZodIssue, { raw, schema, misspelt }: IssueContext): void {
  const path = issue.path as ConfigPath;
  const written = valueAt(raw, path);
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = knownKeys(schema, path);
      for (const key of issue.keys) {
        const near = nearest(key, known);
        if (near !== undefined) misspelt.add(formatPath([...path, near]));
        const cure = near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`;
        problems.add([...path, key], `is not a known key; ${cure}`, 'key');
      }
      return;
    }
    case 'invalid_type':
      if (written === undefined && misspelt.has(formatPath(path))) return;
      return problems.add(path, written === undefined ? 'is missing' : `must be ${typeName(issue.expected)}`);
    case 'invalid_value':
      return problems.add(path, `${quoted(written)} is not known${listOf(issue.values.map(String), written)}`);
    default:
      problems.add(path, issue.message);
  }
}

function listOf(known: readonly string[], written: unknown): string {
  const near = typeof written === 'string' ? nearest(written, known) : undefined;
  return `; known are ${known.join(', ')}${near === undefined ? '' : `; did you mean ${near}?`}`;
}

/** The keys that the schema has at a path. */
function knownKeys(schema: z.ZodType, path: ConfigPath): readonly string[] {
  let here: unknown = schema;
  for (const part of [...path, undefined]) {
    here = unwrapped(here);
    const { shape, element, valueType } = (here as { def: { shape?: Record<string, unknown>; element?: unknown; valueType?: unknown } })
      .def;
    if (part === undefined) return Object.keys(shape ?? {});
    here = typeof part === 'number' ? element : (valueType ?? shape?.[part]);
    if (here === undefined) return [];
  }
  return [];
}

function unwrapped(schema: unknown): unknown {
  let here = schema;
  for (;;) {
    // What is optional, and what is read in another form before it is checked, wraps the schema that has the keys.
    const { innerType, out } = (here as { def: { innerType?: unknown; out?: unknown } }).def;
    const inner = innerType ?? out;
    if (inner === undefined) return here;
    here = inner;
  }
}

function valueAt(raw: unknown, path: ConfigPath): unknown {
  return path.reduce<unknown>((value, part) => (value as Record<string | number, unknown> | null | undefined)?.[part], raw);
}

function typeName(expected: string): string {
  const names: Record<string, string> = {
    string: 'text',
    int: 'a whole number',
    number: 'a whole number',
    array: 'a list',
    object: 'a section',
    record: 'a section',
  };
  return names[expected] ?? `a ${expected}`;
}

function quoted(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? JSON.stringify(value) : 'the value';
}
