import { hostname } from "node:os";
import { z } from "zod";
import { type Duration, formatDuration } from "../duration.ts";
import { CastellanError, type OptionProblem } from "../errors.ts";
import { postgresLocation } from "../journal/postgres/postgres-location.ts";
import { durationSchema, invalidOptions, validate } from "../session/options/validation.ts";

/** What tells a cluster from others, and lets in whoever may speak to its nodes. */
export interface ConnectOptions {
  /** The database by which the nodes agree: `postgres://user:password@host:5432/database`. It may be behind a pooler. */
  postgres: string;
  /** The schema in it; nodes that name the same one are a cluster. Default `"castellan"`. */
  schema?: string;
  /**
   * Shared by all nodes, at least 32 characters; it signs what they ask each other. Of several the first one signs, and all are
   * accepted, so that it can be changed while nodes run: add the new one everywhere, then put it first, then take the old one away.
   */
  secret: string | readonly string[];
  /**
   * How long a node that could have a session is looked for, and a database that does not answer is tried again, before the
   * caller is told. Default `"60s"`.
   */
  patience?: Duration;
}

/** How a node takes part in a cluster. */
export interface ClusterOptions extends ConnectOptions {
  /** Where the other nodes reach this one: `http://10.0.0.7:7700`. With port 0 any free one is taken, for tests on one machine. */
  advertise: string;
  /** On which address and port it listens. Default: all addresses, and the port of `advertise`. */
  listen?: { host?: string; port?: number };
  /**
   * Where notifications are listened to: the URL of the database itself, if `postgres` is that of a pooler that hands out another
   * connection for each transaction; `false` for nowhere. Without them takeovers wait for the next beat. Default: as `postgres`.
   */
  notifications?: string | false;
  /** For people and for `move`; unlike that of any other node. Default: the name of the machine and the port. */
  name?: string;
  /** How many processes its global sessions may have. Default: as many as there are sessions. */
  maxProcesses?: number;
  /** What it is, for global sessions that only some nodes can host; see `global`. */
  labels?: Readonly<Record<string, string>>;
  /** How often it says that it lives. Default `"1s"`. */
  beat?: Duration;
  /** After how long without a word others may take its sessions. At least three beats. Default `"5s"`. */
  staleAfter?: Duration;
  /**
   * How long before that it ends its own processes, if it cannot say that it lives: the time that this takes, and what the clocks
   * of two machines may differ in speed. At most half of `staleAfter`. Default: a fifth of it.
   */
  margin?: Duration;
}

/** {@link ConnectOptions} with their defaults; spans in milliseconds. */
export interface ConnectSettings {
  readonly postgres: string;
  readonly schema: string;
  readonly secrets: readonly string[];
  readonly patienceMs: number;
}

/** {@link ClusterOptions} with their defaults; spans in milliseconds. */
export interface ClusterSettings extends ConnectSettings {
  readonly advertise: URL;
  readonly listen: { readonly host: string | undefined; readonly port: number };
  readonly notifications: string | false | undefined;
  readonly name: string | undefined;
  readonly maxProcesses: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly beatMs: number;
  readonly staleMs: number;
  readonly marginMs: number;
}

const secretSchema = z.string().min(32, "expected at least 32 characters");

const connectShape = {
  // What these two say is looked at by `placeProblems`, which shows nothing of a password.
  postgres: z.string(),
  schema: z.string().default("castellan"),
  secret: z.union([secretSchema, z.array(secretSchema).min(1)]),
  patience: durationSchema.default(60_000),
};

const connectSchema = z.strictObject(connectShape);

const clusterSchema = z.strictObject({
  ...connectShape,
  advertise: z.url({ protocol: /^https?$/, error: "expected a URL such as http://10.0.0.7:7700" }),
  listen: z
    .strictObject({ host: z.string().min(1).optional(), port: z.int().min(0).max(65_535).optional() })
    .default({}),
  notifications: z.union([z.string(), z.literal(false)]).optional(),
  name: z.string().min(1).max(200).optional(),
  maxProcesses: z.int().positive().optional(),
  labels: z.record(z.string().min(1), z.string()).default({}),
  beat: durationSchema.default(1_000),
  staleAfter: durationSchema.default(5_000),
  margin: durationSchema.optional(),
});

/** @throws CastellanError `INVALID_OPTIONS` */
export function connectSettings(options: ConnectOptions): ConnectSettings {
  const given = validate(connectSchema, options, "connect");
  const problems = placeProblems(given.postgres, given.schema);
  if (problems.length > 0) throw invalidOptions("connect", problems);
  return settled(given);
}

/** @throws CastellanError `INVALID_OPTIONS` */
export function clusterSettings(options: ClusterOptions): ClusterSettings {
  const given = validate(clusterSchema, options, "supervisor", "cluster");
  const { beat: beatMs, staleAfter: staleMs, margin: marginMs = staleMs / 5 } = given;
  const problems: OptionProblem[] = [];
  const refuse = (field: string, message: string): void => void problems.push({ field: `cluster.${field}`, message });
  for (const { field, message } of placeProblems(given.postgres, given.schema)) refuse(field, message);
  if (typeof given.notifications === "string") {
    for (const { message } of placeProblems(given.notifications, "castellan")) refuse("notifications", message);
  }
  if (beatMs < 10) refuse("beat", `expected at least 10ms; got ${formatDuration(beatMs)}`);
  if (staleMs < 3 * beatMs) {
    const message = `expected at least three times \`beat\`, ${formatDuration(3 * beatMs)}, so that a beat that is late costs nothing; got ${formatDuration(staleMs)}`;
    refuse("staleAfter", message);
  }
  if (marginMs > staleMs / 2 || marginMs < 50) {
    const had = given.margin === undefined ? "a fifth of that is" : "got";
    const message = `expected between 50ms and half of \`staleAfter\`, ${formatDuration(staleMs / 2)}; ${had} ${formatDuration(marginMs)}`;
    refuse("margin", message);
  }
  const advertise = new URL(given.advertise);
  if (advertise.pathname !== "/" || advertise.search !== "") refuse("advertise", "expected no path and no parameters");
  if (ALL_ADDRESSES.has(advertise.hostname)) {
    refuse("advertise", `expected an address at which the other nodes reach this one; ${advertise.hostname} is none`);
  }
  if (problems.length > 0) throw invalidOptions("supervisor", problems);
  const { host, port = Number(advertise.port || (advertise.protocol === "https:" ? 443 : 80)) } = given.listen;
  const { notifications, name, maxProcesses, labels } = given;
  return {
    ...settled(given),
    advertise,
    listen: { host, port },
    notifications,
    name,
    maxProcesses,
    labels,
    beatMs,
    staleMs,
    marginMs,
  };
}

/** The name of a node that has been given none. */
export function usualNodeName(port: number): string {
  return `${hostname()}:${port}`;
}

/** Where one can listen, and nobody can be reached. */
const ALL_ADDRESSES: ReadonlySet<string> = new Set(["0.0.0.0", "[::]"]);

/** What is wrong with the address of a database, in words that tell no password. */
function placeProblems(postgres: string, schema: string): readonly OptionProblem[] {
  try {
    postgresLocation({ postgres, schema });
    return [];
  } catch (error) {
    if (CastellanError.is(error, "INVALID_OPTIONS")) return error.details.problems;
    throw error;
  }
}

function settled({ postgres, schema, secret, patience: patienceMs }: z.output<typeof connectSchema>): ConnectSettings {
  const secrets = typeof secret === "string" ? [secret] : secret;
  return { postgres, schema, secrets, patienceMs };
}
