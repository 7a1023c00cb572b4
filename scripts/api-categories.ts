import { type Application, Comment, CommentTag, type Context, Converter, ReflectionKind } from "typedoc";

/** Under which heading of the reference a room's names are. A file is put before the room it is in. */
const CATEGORIES: Readonly<Record<string, string>> = {
  castellan: "Sessions and turns",
  names: "Sessions and turns",
  duration: "Sessions and turns",
  session: "Sessions and turns",
  claude: "Sessions and turns",
  application: "Supervisors",
  supervision: "Supervisors",
  "application/template": "Templates and capacity",
  "application/capacity-options": "Templates and capacity",
  capacity: "Templates and capacity",
  "application/balance": "Pools and balancing",
  "application/fallback": "Pools and balancing",
  pool: "Pools and balancing",
  "application/via": "Registries",
  registry: "Registries",
  "session/registered-name": "Registries",
  "application/journal-options": "Journal and costs",
  "session/usage": "Journal and costs",
  journal: "Journal and costs",
  config: "Configuration",
  "application/health": "Health, events and logs",
  "session/session-event": "Health, events and logs",
  events: "Health, events and logs",
  telemetry: "Health, events and logs",
  cluster: "Several machines",
  "session/global-name": "Several machines",
  errors: "Errors",
};

const ENTRY = "castellan";

/** A plugin of TypeDoc: puts what the main entry exports into categories, which the rooms of `src/` are the measure of. */
export function load(application: Application): void {
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
  if (category === undefined) throw new Error(`${file} is exported, and scripts/api-categories.ts has no place for it`);
  return category;
}
