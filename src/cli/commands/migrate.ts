import { Command, Option } from "commander";
import type { MigrationOptions } from "../../cluster/postgres/migrate-postgres.ts";
import { withoutUndefined } from "../../fields.ts";
import { printable } from "../../printable.ts";
import { CliError } from "../terminal/cli-error.ts";

const HELP = `
Run it with the credentials of the role that owns the tables, before a release starts whose own role may not create any.

Example:
  $ DATABASE_URL=postgres://owner:…@db/app castellan migrate --grant-to app
`;

interface MigrateOptions {
  readonly cwd: string;
  readonly config?: string;
  readonly grantTo?: string;
  readonly json?: boolean;
}

/** The command `migrate`. */
export function migrateCommand(): Command {
  return new Command("migrate")
    .description("create or migrate the tables of the PostgreSQL databases in the config file")
    .option("--grant-to <role>", "also grant a role what it needs to run on these tables, and no more")
    .addOption(
      new Option("--cwd <folder>", "where to look for the config file").default(process.cwd(), "the current folder"),
    )
    .option("--config <file>", "a config file other than castellan.config.*")
    .option("--json", "print JSON")
    .addHelpText("after", HELP)
    .action(migrate);
}

async function migrate({ grantTo, json, ...where }: MigrateOptions): Promise<void> {
  // Loaded on demand, so that the other commands start fast.
  const { migratePostgres } = await import("../../cluster/postgres/migrate-postgres.ts");
  const places = await placesIn(where);
  const done = await Promise.all(
    places.map((place) => migratePostgres({ ...place, ...withoutUndefined({ grantTo }) })),
  );
  if (json) return console.log(JSON.stringify(done));
  for (const { location, changed } of done) {
    console.log(printable(`${location}: ${changed.length === 0 ? "up to date" : `migrated ${changed.join(", ")}`}`));
  }
}

/** Returns the schemas of the configured journal and cluster, each once. */
async function placesIn({ cwd, config }: Pick<MigrateOptions, "cwd" | "config">): Promise<readonly MigrationOptions[]> {
  const { loadConfig } = await import("../../config/load-config.ts");
  const { options } = await loadConfig(withoutUndefined({ cwd, file: config }));
  const { journal, cluster } = options;
  const places = new Map<string, MigrationOptions>();
  for (const source of [journal, cluster]) {
    if (typeof source !== "object" || !("postgres" in source)) continue;
    const { postgres, schema = "castellan" } = source;
    places.set(`${postgres} ${schema}`, { postgres, schema });
  }
  if (places.size === 0) {
    throw new CliError(
      "NOT_FOUND",
      "The config file names no PostgreSQL database, neither for the journal nor for a cluster.",
    );
  }
  return [...places.values()];
}
