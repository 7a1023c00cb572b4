import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/* `npm run rooms` writes biome.rooms.json, which enforces the order of imports in src/, and the picture of it in ARCHITECTURE.md. */

interface Room {
  /** A folder or a file of src/. */
  readonly name: string;
  /** Its folders, and files that they share, the highest first. All other files of the room stand above them. */
  readonly rooms?: readonly string[];
  /** Lower rooms that it must not import. */
  readonly not?: readonly string[];
}

/** The rooms that the client and the wire schemas must not import. */
const ABOVE_WIRE = [
  "index.ts",
  "connect.ts",
  "testing",
  "telemetry",
  "config",
  "castellan.ts",
  "webhooks",
  "application",
  "cluster",
  "pool",
  "registry",
  "session",
  "capacity",
  "claude",
  "journal",
  "supervision",
];

/** The highest first. A room imports only rooms below it. */
const ROOMS: readonly Room[] = [
  { name: "cli", rooms: ["commands", "acp", "checks", "connection", "terminal"] },
  { name: "dashboard", not: ["page", "client"] },
  { name: "server", rooms: ["adapters", "anthropic", "native", "access", "http"], not: ["page", "client"] },
  // Runs in browsers, on the client alone: what it can do, any application can do.
  { name: "page", rooms: ["pages", "parts", "store", "html.ts"], not: ABOVE_WIRE },
  // Browsers load the client, so it depends only on the wire types.
  { name: "client", not: ABOVE_WIRE },
  // The schemas of the HTTP API: what the client and the server share.
  { name: "wire", not: ABOVE_WIRE },
  { name: "index.ts" },
  { name: "connect.ts" },
  { name: "testing", rooms: ["conformance", "fake-claude", "mock-api", "milestones.ts"], not: ["config"] },
  { name: "telemetry", not: ["config"] },
  { name: "config", not: ["castellan.ts"] },
  { name: "castellan.ts" },
  { name: "application", rooms: ["inspection", "tree", "names", "options"] },
  { name: "webhooks", not: ["pool", "registry", "capacity", "claude"] },
  { name: "cluster", rooms: ["http", "postgres", "protocol"], not: ["pool", "registry"] },
  { name: "pool" },
  { name: "registry" },
  {
    name: "session",
    rooms: ["process", "turns", "context", "status", "persistence", "conversation", "streams", "record", "options"],
  },
  { name: "capacity" },
  // The Claude Code adapter must not depend on supervision.
  { name: "claude", rooms: ["messages"], not: ["supervision"] },
  { name: "journal", rooms: ["handover", "memory", "sqlite", "postgres", "model"] },
  { name: "supervision" },
];

const TOP = join(import.meta.dirname, "..");
const RULES = join(TOP, "biome.rooms.json");
const ARCHITECTURE = join(TOP, "ARCHITECTURE.md");

const isFile = (name: string): boolean => name.endsWith(".ts");

/** The files of src/ that are not rooms. They stand below all rooms and import only each other. */
function baseFiles(): string[] {
  const rooms = new Set(ROOMS.map(({ name }) => name));
  return readdirSync(join(TOP, "src")).filter((name) => isFile(name) && !rooms.has(name));
}

/** The paths that may be imported, relative to `up`, as exceptions to a pattern that forbids everything. */
function allowed(up: string, names: readonly string[]): string[] {
  return names.map((name) => `!${up}${name}${isFile(name) ? "" : "/**"}`);
}

function override(includes: readonly string[], group: readonly string[], message: string): object {
  const options = { patterns: [{ group: [...group, "castellan", "castellan/**"], message }] };
  return {
    includes,
    linter: { rules: { style: { noRestrictedImports: { level: "error", options } } } },
  };
}

function overridesOf({ name, rooms = [], not = [] }: Room, index: number): object[] {
  const below = ROOMS.slice(index + 1).flatMap((room) => (not.includes(room.name) ? [] : room.name));
  const base = baseFiles();
  const message = `Imports run downward only: ${name} may import ${below[0] ?? "no other room"} and the rooms below it.`;
  if (isFile(name)) return [override([`src/${name}`], ["./**", ...allowed("./", [...below, ...base])], message)];
  return [
    override([`src/${name}/**`], ["../**", "./../**", ...allowed("../", [...below, ...base])], message),
    ...rooms.map((room, at) => {
      const lower = rooms.slice(at + 1);
      const group = ["../**", "./../**", ...allowed("../", lower), ...allowed("../../", [...below, ...base])];
      const words = lower.length === 0 ? "no other room of" : `${lower.join(", ")} of`;
      const why = `Imports run downward only: ${name}/${room} may import ${words} ${name}, and the rooms below ${name}.`;
      return override([`src/${name}/${room}${isFile(room) ? "" : "/**"}`], group, why);
    }),
  ];
}

/** The biome configuration that enforces the order. */
function roomsConfig(): string {
  const base = baseFiles();
  const overrides = [
    override(["src/**"], ["../**", "./../**"], "An unknown room. Add it to ROOMS in scripts/rooms.ts."),
    ...ROOMS.flatMap(overridesOf),
    override(
      base.map((name) => `src/${name}`),
      ["../**", "./**", ...allowed("./", base)],
      "Imports run downward only: these files stand below all rooms, and import only each other.",
    ),
  ];
  const schema = "./node_modules/@biomejs/biome/configuration_schema.json";
  return `${JSON.stringify({ $schema: schema, overrides }, null, 2)}\n`;
}

/** The rooms as text, the highest first. */
function picture(): string {
  const lines = ROOMS.map(({ name, rooms = [], not = [] }) => {
    const except = not.length === 0 ? [] : [`(not ${not.join(", ")})`];
    return `│ ${name.padEnd(14)}${[rooms.join(" → "), ...except].filter(Boolean).join("  ")}`.trimEnd();
  });
  return ["```text", ...lines, `▼ ${baseFiles().join(" ")}`, "```"].join("\n");
}

/** ARCHITECTURE.md with the current picture. */
function architecture(): string {
  const text = readFileSync(ARCHITECTURE, "utf8");
  return text.replace(/(<!-- rooms -->\n)[\s\S]*?(<!-- \/rooms -->)/, `$1${picture()}\n$2`);
}

/** Whether biome.rooms.json and ARCHITECTURE.md are up to date. */
export function roomsAreCurrent(): boolean {
  return readFileSync(RULES, "utf8") === roomsConfig() && readFileSync(ARCHITECTURE, "utf8") === architecture();
}

if (import.meta.main) {
  writeFileSync(RULES, roomsConfig());
  writeFileSync(ARCHITECTURE, architecture());
}
