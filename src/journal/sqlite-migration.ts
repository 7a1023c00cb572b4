import type { DatabaseSync } from "node:sqlite";
import { inTransaction } from "./sqlite-connection.ts";
import { APPLICATION_ID } from "./sqlite-schema.ts";

/**
 * Brings a file from one version of the schema up to the last of `migrations`, one at a time, each in a transaction: what is
 * cut off in the middle goes on from there.
 *
 * @param begun called after the first, as soon as there is anything to write to
 */
export function migrate(
  database: DatabaseSync,
  version: number,
  migrations: readonly string[],
  begun: () => void = () => {},
): void {
  if (version > 0) begun();
  for (const [index, migration] of migrations.entries()) {
    if (index < version) continue;
    inTransaction(database, () => {
      database.exec(migration);
      database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${index + 1}`);
    });
    if (index === 0) begun();
  }
}
