import { APPLICATION_ID } from "./sqlite-schema.ts";
import type { SqliteConnection } from "./sqlite-thread.ts";

/**
 * Brings a file from one version of the schema up to the last of `migrations`, one at a time, each in a transaction: what is
 * cut off in the middle goes on from there.
 *
 * @param begun called after the first, as soon as there is anything to write to
 */
export async function migrate(
  connection: SqliteConnection,
  version: number,
  migrations: readonly string[],
  begun: () => Promise<void> = async () => {},
): Promise<void> {
  if (version > 0) await begun();
  for (const [index, migration] of migrations.entries()) {
    if (index < version) continue;
    const marks = `PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${index + 1}`;
    await connection.run(
      [migration, marks].map((sql) => ({ sql, script: true })),
      { transaction: true },
    );
    if (index === 0) await begun();
  }
}
