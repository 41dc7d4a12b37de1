import type { Position, TableSchema } from '@nanosync/core';
import { fold } from '@nanosync/core';
import { at, changeOf, without } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { applyScript } from './applier.ts';
import { buildScript } from './build.ts';
import type { ProgressRow } from './epochs.ts';
import { notHeld } from './limits.ts';
import type { StagedBatch } from './merge-sql.ts';
import { basesSql, mergeSql } from './merge-sql.ts';
import { text } from './sql.ts';

const SCHEMA: TableSchema = {
  table: 'public.orders' as TableSchema['table'],
  columns: [
    { name: 'id', type: { kind: 'int64' } },
    { name: 'note', type: { kind: 'text' } },
    { name: 'at', type: { kind: 'timestamp', zoned: true } },
  ],
  key: ['id'],
};
const WAREHOUSE = { bounded: true, table: (name: string) => `\`p.d.${name}\``, meta: (name: string) => `\`p.d._nanosync_${name}\`` };
const ID = { pipeline: 'shop', table: SCHEMA.table, epoch: 'e1' };

const keysOf = (...changes: Parameters<typeof fold>[1][number][]) => fold(SCHEMA, changes, null, notHeld).keys;
const batchOf = (keys: StagedBatch['keys']): StagedBatch => ({ target: '`T`', staging: '`S`', schema: SCHEMA, keys, bounded: true });
const whole = keysOf(changeOf(SCHEMA, 'c', [5n, 'a', 1n], at(101)), changeOf(SCHEMA, 'd', [-7n, null, null], at(102)));

test('a batch of whole rows is merged by exclusive clauses, within the range of its keys', () => {
  expect(mergeSql(batchOf(whole))).toMatchInlineSnapshot(`
    "MERGE \`T\` AS T USING \`S\` AS S
    ON T.\`id\` = S.c0 AND T.\`id\` >= -7 AND T.\`id\` <= 5
    WHEN MATCHED AND S.first > T._nanosync_position AND S.state = 0 THEN DELETE
    WHEN MATCHED AND S.first > T._nanosync_position AND S.state != 0 THEN UPDATE SET \`note\` = SAFE_CONVERT_BYTES_TO_STRING(S.c1), \`at\` = TIMESTAMP_ADD(TIMESTAMP_SECONDS(DIV(IF(S.c2 BETWEEN -62135596800000000 AND 253402300799999999, S.c2, NULL), 1000000)), INTERVAL MOD(S.c2, 1000000) MICROSECOND), _nanosync_position = S.position
    WHEN NOT MATCHED AND S.state = 1 THEN INSERT (\`id\`, \`note\`, \`at\`, _nanosync_position) VALUES (S.c0, SAFE_CONVERT_BYTES_TO_STRING(S.c1), TIMESTAMP_ADD(TIMESTAMP_SECONDS(DIV(IF(S.c2 BETWEEN -62135596800000000 AND 253402300799999999, S.c2, NULL), 1000000)), INTERVAL MOD(S.c2, 1000000) MICROSECOND), S.position)"
  `);
});

test('cells that a change left out stay what they are in the table', () => {
  const keys = keysOf(changeOf(SCHEMA, 'u', without(SCHEMA, [5n, 'a', 1n], 'note'), at(101)));
  const sql = mergeSql(batchOf(keys));
  expect(sql).toContain("`note` = IF(SUBSTR(S.unchanged, 2, 1) = '1', T.`note`, SAFE_CONVERT_BYTES_TO_STRING(S.c1))");
  expect(sql).not.toContain('SUBSTR(S.unchanged, 3');
  expect(mergeSql({ ...batchOf(keys), bounded: false })).toContain('ON T.`id` = S.c0\nWHEN');
  expect(basesSql(batchOf(keys), { careful: true, floor: at(90) })).toMatchInlineSnapshot(`
    "SELECT S.ordinal, T._nanosync_position AS position FROM \`S\` AS S JOIN \`T\` AS T
    ON T.\`id\` = S.c0 AND T.\`id\` >= 5 AND T.\`id\` <= 5 WHERE (S.needs_base OR T._nanosync_position >= S.first) AND T._nanosync_position >= '000000000000005A/0000000000000001'"
  `);
});

test('a key of floats is compared by equalities alone, which an outer join needs', () => {
  const schema: TableSchema = { table: SCHEMA.table, columns: [{ name: 'f', type: { kind: 'float64' } }], key: ['f'] };
  const { keys } = fold(schema, [changeOf(schema, 'c', [1.5], at(101))], null, notHeld);
  const sql = mergeSql({ ...batchOf(keys), schema });
  expect(sql).toContain('ON IF(IS_NAN(T.`f`), 0, T.`f`) = IF(IS_NAN(S.c0), 0, S.c0) AND IS_NAN(T.`f`) = IS_NAN(S.c0)\nWHEN');
});

test('a batch moves the progress from what was read, or does nothing', () => {
  const progress = (revision: number): ProgressRow => ({
    owner: 'o',
    revision,
    parts: [],
    changesApplied: revision,
    quarantined: 0,
    defects: 0,
  });
  const batch = { before: progress(3), next: progress(4), floor: at(100) as Position, staging: '_nanosync_changes_x', keys: whole };
  const script = applyScript(WAREHOUSE, ID, SCHEMA, batch);
  expect(script.slice(0, script.indexOf('MERGE'))).toMatchInlineSnapshot(`
    "BEGIN TRANSACTION;
    SELECT IF((SELECT COUNT(*) FROM \`p.d._nanosync_progress_ff4390330113cfd9\`) = 1, 1, ERROR('nanosync: overtaken.'));
    UPDATE \`p.d._nanosync_progress_ff4390330113cfd9\` SET revision = IF(owner = 'o' AND revision = 3, 4, ERROR('nanosync: overtaken.')), parts = '[]', changes_applied = 4, quarantined = 0, defects = 0 WHERE TRUE;
    DELETE FROM \`p.d.public_orders__e1_ff439033\` WHERE _nanosync_position < '0000000000000064/0000000000000001';
    "
  `);
  expect(script.endsWith('COMMIT TRANSACTION;')).toBe(true);
});

test('a build is one transaction: nothing before it, all staged rows, those that do not fit, one row a key', () => {
  const request = {
    generation: ID,
    anchor: 'anchor',
    schema: SCHEMA,
    partitions: 1,
    l0: at(100, 0),
    topicId: 'topic',
    start: [{ next: 5, session: 1 }],
  };
  const source = { tables: ['_nanosync_staging_1', '_nanosync_staging_2'], others: [{ part: 0, attempt: 'zombie' }] };
  expect(buildScript(WAREHOUSE, request, [{ partition: 0, attempt: 'a', rows: 7, quarantined: 2 }], source)).toMatchInlineSnapshot(`
    "BEGIN TRANSACTION;
    SELECT IF((SELECT COUNT(*) FROM \`p.d._nanosync_generations\` WHERE pipeline = 'shop' AND tbl = 'public.orders' AND epoch = 'e1' AND event = 'built') = 0, 1, ERROR('nanosync: built.'));
    SELECT IF((SELECT COUNT(*) FROM \`p.d._nanosync_generations\` WHERE pipeline = 'shop' AND tbl = 'public.orders' AND epoch = 'e1' AND event = 'gone') = 0, 1, ERROR('nanosync: gone.'));
    SELECT IF((SELECT COUNT(*) FROM (SELECT _nanosync_partition, _nanosync_attempt, c0, c1, c2 FROM \`p.d._nanosync_staging_1\` WHERE NOT (_nanosync_partition = 0 AND _nanosync_attempt = 'zombie')
    UNION ALL SELECT _nanosync_partition, _nanosync_attempt, c0, c1, c2 FROM \`p.d._nanosync_staging_2\` WHERE NOT (_nanosync_partition = 0 AND _nanosync_attempt = 'zombie'))) = 7, 1, ERROR('nanosync: rows differ.'));
    INSERT INTO \`p.d._nanosync_rejected_rows\` (pipeline, tbl, epoch, part, attempt, column_name, reason, payload)
    SELECT 'shop', 'public.orders', 'e1', _nanosync_partition, _nanosync_attempt, refused, 'the BigQuery type does not hold the value', payload
    FROM (SELECT _nanosync_partition, _nanosync_attempt, CASE WHEN c0 IS NULL THEN 'id' WHEN (c1 IS NOT NULL AND (SAFE_CAST(c1 AS STRING) IS NULL OR SAFE_CONVERT_BYTES_TO_STRING(c1) IS NULL)) THEN 'note' WHEN IFNULL(c2 NOT BETWEEN -62135596800000000 AND 253402300799999999, FALSE) THEN 'at' END AS refused, TO_JSON_STRING(s) AS payload FROM (SELECT _nanosync_partition, _nanosync_attempt, c0, c1, c2 FROM \`p.d._nanosync_staging_1\` WHERE NOT (_nanosync_partition = 0 AND _nanosync_attempt = 'zombie')
    UNION ALL SELECT _nanosync_partition, _nanosync_attempt, c0, c1, c2 FROM \`p.d._nanosync_staging_2\` WHERE NOT (_nanosync_partition = 0 AND _nanosync_attempt = 'zombie')) AS s)
    WHERE refused IS NOT NULL;
    INSERT INTO \`p.d.public_orders__e1_ff439033\` (\`id\`, \`note\`, \`at\`, _nanosync_position)
    SELECT c0, SAFE_CONVERT_BYTES_TO_STRING(c1), TIMESTAMP_ADD(TIMESTAMP_SECONDS(DIV(IF(c2 BETWEEN -62135596800000000 AND 253402300799999999, c2, NULL), 1000000)), INTERVAL MOD(c2, 1000000) MICROSECOND), '0000000000000064/0000000000000000'
    FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY c0) AS turn FROM (SELECT _nanosync_partition, _nanosync_attempt, c0, c1, c2 FROM \`p.d._nanosync_staging_1\` WHERE NOT (_nanosync_partition = 0 AND _nanosync_attempt = 'zombie')
    UNION ALL SELECT _nanosync_partition, _nanosync_attempt, c0, c1, c2 FROM \`p.d._nanosync_staging_2\` WHERE NOT (_nanosync_partition = 0 AND _nanosync_attempt = 'zombie')) WHERE CASE WHEN c0 IS NULL THEN 'id' WHEN (c1 IS NOT NULL AND (SAFE_CAST(c1 AS STRING) IS NULL OR SAFE_CONVERT_BYTES_TO_STRING(c1) IS NULL)) THEN 'note' WHEN IFNULL(c2 NOT BETWEEN -62135596800000000 AND 253402300799999999, FALSE) THEN 'at' END IS NULL)
    WHERE turn = 1;
    INSERT INTO \`p.d._nanosync_progress_ff4390330113cfd9\` (owner, revision, parts, changes_applied, quarantined, defects)
    SELECT '', 1, '[{"busPartition":0,"next":5,"session":1,"last":"0000000000000064/0000000000000000","floor":null}]', 0, 2 + (SELECT COUNT(*) FROM \`p.d._nanosync_rejected_rows\` WHERE pipeline = 'shop' AND tbl = 'public.orders' AND epoch = 'e1'), 0;
    INSERT INTO \`p.d._nanosync_generations\`
      (pipeline, tbl, epoch, event, id, anchor, physical, row_schema, l0, topic_id, rows_built, quarantined)
    SELECT 'shop', 'public.orders', 'e1', 'built', '', 'anchor', 'public_orders__e1_ff439033', '{"type":"record","name":"Value","namespace":"nanosync.public.orders","table":"public.orders","key":["id"],"fields":[{"name":"id","type":["null",{"type":"long","nanosync":{"kind":"int64"}}],"default":null,"column":"id"},{"name":"note","type":["null",{"type":"string","nanosync":{"kind":"text"}}],"default":null,"column":"note"},{"name":"at","type":["null",{"type":"long","nanosync":{"kind":"timestamp","zoned":true},"logicalType":"timestamp-micros"}],"default":null,"column":"at"}]}', '0000000000000064/0000000000000000',
      'topic', (SELECT COUNT(*) FROM \`p.d.public_orders__e1_ff439033\`), 2 + (SELECT COUNT(*) FROM \`p.d._nanosync_rejected_rows\` WHERE pipeline = 'shop' AND tbl = 'public.orders' AND epoch = 'e1');
    COMMIT TRANSACTION;"
  `);
});

test('texts are written so that they end where they end', () => {
  expect(text("it's \\ \n 'x'")).toBe("'it\\'s \\\\ \\n \\'x\\''");
  expect(text(null)).toBe('NULL');
});
