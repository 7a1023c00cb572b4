import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/* `npm run rooms` writes biome.rooms.json: who may import whom in src/. */

interface Room {
  /** A folder of src/, or a file of it. */
  readonly name: string;
  /** The folders in it, and files that they share, the highest first. What else lies in the room itself stands above them. */
  readonly rooms?: readonly string[];
  /** What of the rooms below it may not import. */
  readonly not?: readonly string[];
}

/** The highest first: a room imports what is below it. */
const ROOMS: readonly Room[] = [
  { name: "cli" },
  { name: "index.ts" },
  { name: "connect.ts" },
  { name: "testing", rooms: ["conformance", "fake-claude", "mock-api", "milestones.ts"], not: ["config"] },
  { name: "telemetry", not: ["config"] },
  { name: "config", not: ["castellan.ts"] },
  { name: "castellan.ts" },
  { name: "application", rooms: ["inspection", "tree", "names", "options"] },
  { name: "cluster", rooms: ["http", "postgres", "protocol"], not: ["pool", "registry"] },
  { name: "pool" },
  { name: "registry" },
  {
    name: "session",
    rooms: ["process", "turns", "context", "status", "persistence", "conversation", "streams", "options"],
  },
  { name: "capacity" },
  // The adapter of Claude Code knows nothing of supervision.
  { name: "claude", not: ["supervision"] },
  { name: "journal", rooms: ["memory", "sqlite", "postgres", "model"] },
  { name: "supervision" },
];

const TOP = join(import.meta.dirname, "..");
const FILE = join(TOP, "biome.rooms.json");

const isFile = (name: string): boolean => name.endsWith(".ts");

/** The files of src/ that are no rooms: they stand below all, and import only each other. */
function baseFiles(): string[] {
  const rooms = new Set(ROOMS.map(({ name }) => name));
  return readdirSync(join(TOP, "src")).filter((name) => isFile(name) && !rooms.has(name));
}

/** What may be imported by way of `up`, as exceptions of a pattern that forbids all. */
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
  const message = `Imports run downward only: ${name} may import ${below[0] ?? "no other room"} and what is below it.`;
  if (isFile(name)) return [override([`src/${name}`], ["./**", ...allowed("./", [...below, ...base])], message)];
  return [
    override([`src/${name}/**`], ["../**", "./../**", ...allowed("../", [...below, ...base])], message),
    ...rooms.map((room, at) => {
      const lower = rooms.slice(at + 1);
      const group = ["../**", "./../**", ...allowed("../", lower), ...allowed("../../", [...below, ...base])];
      const words = lower.length === 0 ? "no other room of" : `${lower.join(", ")} of`;
      const why = `Imports run downward only: ${name}/${room} may import ${words} ${name}, and what is below that.`;
      return override([`src/${name}/${room}${isFile(room) ? "" : "/**"}`], group, why);
    }),
  ];
}

/** The configuration that enforces the order. */
function roomsConfig(): string {
  const base = baseFiles();
  const overrides = [
    override(["src/**"], ["../**", "./../**"], "A new room: give it its place in scripts/rooms.ts first."),
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

/** Whether the file says what it should. */
export function roomsConfigIsCurrent(): boolean {
  return readFileSync(FILE, "utf8") === roomsConfig();
}

if (import.meta.main) writeFileSync(FILE, roomsConfig());
