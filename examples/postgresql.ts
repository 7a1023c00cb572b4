import { migratePostgres } from "castellan";

// #region migrate
/** Before a release starts: creates or migrates the tables as their owner, and lets the role `app` use them. */
export async function beforeDeploy(ownerUrl: string): Promise<string> {
  const { location, changed } = await migratePostgres({ postgres: ownerUrl, grantTo: "app" });
  return changed.length === 0 ? `${location} is up to date` : `${location}: migrated ${changed.join(", ")}`;
}
// #endregion
