import { Declarations } from "./declarations.ts";
import { prose } from "./markdown.ts";
import { memberTable } from "./member-table.ts";

/** The files that declare the options of everything but a session, by the name of the interface. */
const SOURCES = {
  TurnOptions: "src/session/options/turn-options.ts",
  SteerOptions: "src/session/options/steer-options.ts",
  ScheduleOptions: "src/session/turns/schedule.ts",
  JobOptions: "src/session/options/job-options.ts",
  TemplateLimits: "src/application/options/template.ts",
  PoolBehavior: "src/pool/pool-options.ts",
  SupervisorOptions: "src/application/options/supervisor-options.ts",
  SubtreeOptions: "src/application/options/child-options.ts",
  WorkerOptions: "src/application/options/child-options.ts",
  CapacityOptions: "src/application/options/capacity-options.ts",
  StoredJournalOptions: "src/application/options/journal-options.ts",
  JournalRetention: "src/application/options/journal-options.ts",
  WebhookOptions: "src/webhooks/webhook-options.ts",
  ClusterOptions: "src/cluster/cluster-options.ts",
  ClusterTls: "src/cluster/cluster-options.ts",
  ListenOptions: "src/server/server-options.ts",
  CastellanConfig: "src/config/config.ts",
  EnvReference: "src/config/env-reference.ts",
  FromConfigOptions: "src/config/start-from-config.ts",
} as const;

const declared = new Declarations(...new Set(Object.values(SOURCES)), "src/config/load-config.ts");

/** The names of all these interfaces. */
export const OPTION_OBJECTS: readonly (keyof typeof SOURCES)[] = Object.keys(SOURCES) as (keyof typeof SOURCES)[];

/** What an interface of options is for, and a table of the options. */
export function optionObjectPart(name: keyof typeof SOURCES): string {
  return `${prose(declared.docOf(name))}\n\n${memberTable(declared.membersOf(name), "option").trimEnd()}`;
}
