import type { AnswerOf, ApiParts, DoctorCheck, Finding, RequestOf } from '@nanosync/api';
import { findings, problemsOf, storedPipelines } from '@nanosync/api';
import type {
  CaptureRecord,
  PipelineDefinition,
  PipelineRecord,
  Position,
  Problem,
  ServiceContext,
  Source,
  TableRecord,
} from '@nanosync/core';
import { followsChanges, isKind, listRecords, readRecord, stateKeys } from '@nanosync/core';
import { absentServices, pipelineStatus } from '@nanosync/runtime';
import { requirePipeline } from './commands.ts';

/** Looks at state store, bus and registry, then at services, source and sink of each pipeline. Writes nothing; nothing that is wrong ends the look. */
export async function doctorHandler(
  parts: ApiParts,
  { pipeline, definitions = [] }: RequestOf<'doctor'>['body'],
): Promise<AnswerOf<'doctor'>> {
  const { ctx } = parts;
  const records = pipeline === undefined ? await storedPipelines(ctx.state) : [await requirePipeline(ctx.state, pipeline)];
  const stored = records.filter(({ definition }) => !definitions.some(({ name }) => name === definition.name));
  const all = [...stored.map(({ definition }) => definition), ...definitions];
  const checks = await enginesChecked(ctx, records);
  for (const record of stored) checks.push(...(await pipelineChecked(parts, record)));
  for (const definition of all)
    for (const finding of await findings({ openSource: ctx.openSource, checkSink: parts.checkSink }, definition, all))
      checks.push(...checksOf(finding.place, finding.problems, looked(finding, definition)));
  return { healthy: checks.every(({ level }) => level !== 'problem'), checks };
}

async function enginesChecked(ctx: ServiceContext, records: readonly PipelineRecord[]): Promise<DoctorCheck[]> {
  const topics = records.flatMap(({ definition: { name, source } }) => [
    ...[ctx.topics.rows(name), ctx.topics.quarantine(name)],
    ...source.tables.map((table) => ctx.topics.changes(name, table)),
  ]);
  const state = await problemsOf(async () => {
    await ctx.state.get(stateKeys.pipelines);
    return (await ctx.state.check?.()) ?? [];
  });
  const bus = await problemsOf(async () => {
    await ctx.bus.topic(ctx.topics.tasks);
    return (await ctx.bus.check?.([ctx.topics.tasks, ...topics])) ?? [];
  });
  return [...checksOf('state store', state, 'answers'), ...checksOf('bus', bus, 'answers, and takes and keeps what is needed')];
}

/** What a pipeline that runs meets: services that are not there, a slot that does not fit, tables that are not what was copied. */
async function pipelineChecked({ ctx, clustered }: ApiParts, record: PipelineRecord): Promise<readonly DoctorCheck[]> {
  const { name } = record.definition;
  const status = await pipelineStatus(ctx.state, name);
  const absent = clustered && status !== undefined ? await absentServices(ctx.state, status) : [];
  const services = absent.map((service) => ({
    what: `No ${service} works on it.`,
    cure: `Run: nanosync service ${service} --config server.yaml`,
  }));
  const failed = record.failure === null ? [] : [{ what: record.failure.reason, cure: record.failure.cure }];
  const place = `pipeline ${name}`;
  const checks = checksOf(place, [...failed, ...services], `is ${record.phase}`);
  const { anchor } = record;
  if (anchor === null || failed.length > 0 || !followsChanges(record.definition)) return checks;
  const tables = (await listRecords<TableRecord>(ctx.state, stateKeys.tables(name))).map(({ value }) => value);
  const problems = await problemsOf(async () => {
    await using source = await ctx.openSource(record.definition.source.connection);
    await verifyStream(ctx, record, source);
    const drifts = await source.drift(
      name,
      tables.filter((table) => table.anchor === anchor.id),
    );
    return drifts.map(({ reason }) => ({ what: reason, cure: `Run: nanosync pipeline resnapshot ${name}` }));
  });
  return [...checks, ...checksOf(`${place}, what it follows`, problems, 'slot, publication and tables are as they were')];
}

/** The slot is never ahead of what is stored; but it moves, so what is stored is read anew where it seems to be. */
async function verifyStream(ctx: ServiceContext, { definition: { name }, anchor }: PipelineRecord, source: Source): Promise<void> {
  if (anchor === null) return;
  for (let before: Position | null = null; ; ) {
    const capture = (await readRecord<CaptureRecord>(ctx.state, stateKeys.capture(name)))?.value;
    const published = capture?.anchor === anchor.id ? capture.published : anchor.l0;
    try {
      return await source.verify(name, anchor, published);
    } catch (error) {
      if (published === before || !isKind(error, 'gap')) throw error;
      before = published;
    }
  }
}

function looked({ side }: Finding, { source, query }: PipelineDefinition): string {
  if (side === 'sink') return 'may be written to, and no name is taken';
  if (query !== undefined) return 'the statement may be run, and its columns are known';
  return `settings, rights and ${source.tables.length === 1 ? 'its table' : `all ${source.tables.length} tables`} are as needed`;
}

/** One line for each problem, or one that says what is well. */
function checksOf(place: string, problems: readonly Problem[], ok: string): DoctorCheck[] {
  const found = problems.map(({ what, cure, mild }): DoctorCheck => {
    return { level: mild === true ? 'warning' : 'problem', place, what, cure: cure === '' ? null : cure };
  });
  return found.some(({ level }) => level === 'problem') ? found : [{ level: 'ok', place, what: ok, cure: null }, ...found];
}
