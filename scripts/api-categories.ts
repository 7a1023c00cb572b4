import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Application, Comment, CommentTag, type Context, Converter, ReflectionKind } from "typedoc";

/** The category of each room in the API reference. The entry of a file takes precedence over its room's. */
const CATEGORIES: Readonly<Record<string, string>> = {
  castellan: "Sessions and turns",
  names: "Sessions and turns",
  duration: "Sessions and turns",
  session: "Sessions and turns",
  claude: "Sessions and turns",
  application: "Supervisors",
  supervision: "Supervisors",
  "application/options/template": "Templates and capacity",
  "application/options/capacity-options": "Templates and capacity",
  capacity: "Templates and capacity",
  "application/balance": "Pools and balancing",
  "application/fallback": "Pools and balancing",
  pool: "Pools and balancing",
  "application/via": "Registries",
  registry: "Registries",
  "session/options/registered-name": "Registries",
  "application/options/journal-options": "Journal and costs",
  "session/persistence/usage": "Journal and costs",
  journal: "Journal and costs",
  config: "Configuration",
  "application/inspection/health": "Health, events and logs",
  "session/record/session-event-types": "Health, events and logs",
  "session/record/event-readers": "Health, events and logs",
  "session/record/content": "Health, events and logs",
  events: "Health, events and logs",
  telemetry: "Health, events and logs",
  webhooks: "Webhooks",
  "application/supervisor-webhooks": "Webhooks",
  cluster: "Several machines",
  "session/options/global-name": "Several machines",
  errors: "Errors",
};

const ENTRY = "castellan";

/** A TypeDoc plugin that assigns each export of the main entry to a category, by its room. */
export function load(application: Application): void {
  const source = join(import.meta.dirname, "../src");
  for (const path of Object.keys(CATEGORIES)) {
    if (existsSync(join(source, path)) || existsSync(join(source, `${path}.ts`))) continue;
    throw new Error(`no room or file ${path}; correct it in scripts/api-categories.ts`);
  }
  application.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }: Context) => {
    for (const entry of project.children ?? []) {
      if (entry.name !== ENTRY) continue;
      for (const name of entry.children ?? []) {
        const [first = name] = name.kindOf(ReflectionKind.Function) ? (name.signatures ?? []) : [name];
        first.comment ??= new Comment();
        const file = name.project.getSymbolIdFromReflection(name)?.packagePath ?? "";
        first.comment.blockTags.push(new CommentTag("@category", [{ kind: "text", text: categoryOf(file) }]));
      }
    }
  });
}

function categoryOf(file: string): string {
  const path = file.replace(/^src\//, "").replace(/\.ts$/, "");
  const category = CATEGORIES[path] ?? CATEGORIES[path.split("/")[0] ?? ""];
  if (category === undefined)
    throw new Error(`no category for the export of ${file}; add one to scripts/api-categories.ts`);
  return category;
}
