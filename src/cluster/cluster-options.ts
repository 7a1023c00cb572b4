import { hostname } from "node:os";
import { z } from "zod";
import { type Duration, formatDuration } from "../duration.ts";
import { CastellanError, type OptionProblem } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import { postgresLocation } from "../journal/postgres/postgres-location.ts";
import type { Budget } from "../session/options/budget.ts";
import { budgetSchema, durationSchema, invalidOptions, validate } from "../session/options/validation.ts";
import type { TlsPaths } from "./http/tls-files.ts";

/**
 * Certificates for the connections between nodes, and from clients to nodes. Each side shows its own and accepts only
 * those that an authority in `ca` has issued. Each option is a file in PEM. Files that are replaced are used within ten
 * seconds, without a restart; open connections go on.
 */
export interface ClusterTls {
  /** The certificates of the authorities: those that have issued the certificates of all nodes and clients. */
  ca: string;
  /**
   * The certificate of this node or client, followed by those between it and an authority. A node's needs the usages
   * `serverAuth` and `clientAuth`, and the host of `advertise` as a subject alternative name; a client's needs
   * `clientAuth`.
   */
  cert: string;
  /** The private key of the certificate, without a passphrase. */
  key: string;
  /**
   * A name that the certificates of all nodes have, for nodes whose addresses change, such as pods. Default: each node's
   * certificate has the host of its own address.
   */
  serverName?: string;
}

/** How a process connects to a cluster. */
export interface ConnectOptions {
  /**
   * URL of the PostgreSQL database that the nodes share: `postgres://user:password@host:5432/database`. A pooler is
   * allowed.
   */
  postgres: string;
  /** Schema in that database. Nodes that name the same schema form one cluster. Default `"castellan"`. */
  schema?: string;
  /**
   * Shared secret of all nodes, at least 32 characters; it signs requests between them. With several, the first one
   * signs and all are accepted. To rotate a secret while nodes run: add the new one on every node, then put it first,
   * then remove the old one.
   */
  secret: string | readonly string[];
  /** How long a call looks for a node, or retries a database that does not answer, before it fails. Default `"60s"`. */
  patience?: Duration;
  /**
   * Certificates, besides the secret. All nodes and clients of the cluster have them, or none: the others are refused.
   * Default: none, and requests between nodes are signed but not encrypted.
   */
  tls?: ClusterTls;
}

/** How a node takes part in a cluster. */
export interface ClusterOptions extends ConnectOptions {
  /**
   * Address at which the other nodes reach this one: `http://10.0.0.7:7700`, or `https://…` with `tls` or behind a
   * proxy that ends TLS. Port 0 takes any free port, for tests on one machine.
   */
  advertise: string;
  /** Address and port to listen on. Default: all addresses, and the port of `advertise`. */
  listen?: { host?: string; port?: number };
  /**
   * URL for PostgreSQL notifications: the database itself, if `postgres` names a pooler that hands out a connection per
   * transaction; `false` for none. Without notifications a takeover waits for the next beat. Default: as `postgres`.
   */
  notifications?: string | false;
  /** Name for people and for `move`, unique in the cluster. Default: host name and port. */
  name?: string;
  /** Maximum number of processes for global sessions. Default: unlimited. */
  maxProcesses?: number;
  /**
   * How much all global sessions of supervisors of this name together may spend, on all nodes, in the form of a session's `budget`.
   * A node learns within a second or two what others have spent. Turns of pools count for the supervisor's own `budget`.
   * Default: no limit.
   */
  budget?: Budget;
  /**
   * The maximum number of concurrent turns of global sessions on all nodes together. Nodes divide it by what they need; give all the
   * same. The supervisor's `capacity.maxConcurrentTurns` limits each node, with its local sessions and pools. Default: no limit.
   */
  maxConcurrentTurns?: number;
  /** Labels that a global session can require of its node; see `global`. */
  labels?: Readonly<Record<string, string>>;
  /** Interval of the node's heartbeat. Default `"1s"`. */
  beat?: Duration;
  /** Silence after which other nodes may take the node's sessions. At least three beats. Default `"5s"`. */
  staleAfter?: Duration;
  /**
   * How long before `staleAfter` the node ends its own processes when its heartbeat fails. It covers the time to end
   * them and the drift between two machines' clocks. At most half of `staleAfter`. Default: a fifth of it.
   */
  margin?: Duration;
}

/** {@link ConnectOptions} with defaults applied; durations in milliseconds. */
export interface ConnectSettings {
  readonly postgres: string;
  readonly schema: string;
  readonly secrets: readonly string[];
  readonly patienceMs: number;
  readonly tls: TlsPaths | undefined;
}

/** {@link ClusterOptions} with defaults applied; durations in milliseconds. */
export interface ClusterSettings extends ConnectSettings {
  readonly advertise: URL;
  readonly listen: { readonly host: string | undefined; readonly port: number };
  readonly notifications: string | false | undefined;
  readonly name: string | undefined;
  readonly maxProcesses: number | undefined;
  readonly budget: Budget | undefined;
  readonly maxConcurrentTurns: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly beatMs: number;
  readonly staleMs: number;
  readonly marginMs: number;
}

const secretSchema = z.string().min(32, "expected at least 32 characters");

const connectShape = {
  // `locationProblems` checks these two. Its messages never contain the password.
  postgres: z.string(),
  schema: z.string().default("castellan"),
  secret: z.union([secretSchema, z.array(secretSchema).min(1)]),
  patience: durationSchema.default(60_000),
  tls: z
    .strictObject({
      ca: z.string().min(1),
      cert: z.string().min(1),
      key: z.string().min(1),
      serverName: z.string().min(1).optional(),
    })
    .optional(),
};

const NO_TRANSCRIPTS =
  "cannot be set: the cluster's journal keeps the transcripts of global sessions, which could not move otherwise";

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
  budget: budgetSchema.optional(),
  maxConcurrentTurns: z.int().positive().optional(),
  labels: z.record(z.string().min(1), z.string()).default({}),
  beat: durationSchema.default(1_000),
  staleAfter: durationSchema.default(5_000),
  margin: durationSchema.optional(),
  transcripts: z.undefined({ error: NO_TRANSCRIPTS }).optional(),
});

/** @throws CastellanError `INVALID_OPTIONS` */
export function connectSettings(options: ConnectOptions): ConnectSettings {
  const given = validate(connectSchema, options, "connect");
  const problems = locationProblems(given.postgres, given.schema);
  if (problems.length > 0) throw invalidOptions("connect", problems);
  return withDefaults(given);
}

/** @throws CastellanError `INVALID_OPTIONS` */
export function clusterSettings(options: ClusterOptions): ClusterSettings {
  const given = validate(clusterSchema, options, "supervisor", "cluster");
  const { beat: beatMs, staleAfter: staleMs, margin: marginMs = staleMs / 5 } = given;
  const problems: OptionProblem[] = [];
  const refuse = (field: string, message: string): void => void problems.push({ field: `cluster.${field}`, message });
  for (const { field, message } of locationProblems(given.postgres, given.schema)) refuse(field, message);
  if (typeof given.notifications === "string") {
    for (const { message } of locationProblems(given.notifications, "castellan")) refuse("notifications", message);
  }
  if (beatMs < 10) refuse("beat", `expected at least 10ms; got ${formatDuration(beatMs)}`);
  if (staleMs < 3 * beatMs) {
    const message = `expected at least three times \`beat\`, ${formatDuration(3 * beatMs)}, so that one late beat costs nothing; got ${formatDuration(staleMs)}`;
    refuse("staleAfter", message);
  }
  if (marginMs > staleMs / 2 || marginMs < 50) {
    const had = given.margin === undefined ? "the default is" : "got";
    const message = `expected between 50ms and half of \`staleAfter\`, ${formatDuration(staleMs / 2)}; ${had} ${formatDuration(marginMs)}`;
    refuse("margin", message);
  }
  const advertise = new URL(given.advertise);
  if (advertise.pathname !== "/" || advertise.search !== "") refuse("advertise", "expected no path and no parameters");
  if (ALL_ADDRESSES.has(advertise.hostname)) {
    refuse(
      "advertise",
      `expected an address that the other nodes can reach; ${advertise.hostname} only works for listening`,
    );
  }
  if (given.tls !== undefined && advertise.protocol !== "https:") {
    refuse("advertise", "expected https://… with `tls`: a node with certificates takes no requests in the clear");
  }
  if (problems.length > 0) throw invalidOptions("supervisor", problems);
  const { host, port = Number(advertise.port || (advertise.protocol === "https:" ? 443 : 80)) } = given.listen;
  const { notifications, name, maxProcesses, maxConcurrentTurns, labels } = given;
  const budget = given.budget === undefined ? undefined : withoutUndefined(given.budget);
  return {
    ...withDefaults(given),
    advertise,
    listen: { host, port },
    notifications,
    name,
    maxProcesses,
    budget,
    maxConcurrentTurns,
    labels,
    beatMs,
    staleMs,
    marginMs,
  };
}

/** Returns the default name of a node. */
export function defaultNodeName(port: number): string {
  return `${hostname()}:${port}`;
}

/** Addresses to listen on that no other machine can reach. */
const ALL_ADDRESSES: ReadonlySet<string> = new Set(["0.0.0.0", "[::]"]);

/** Returns what is wrong with the database's URL and schema. No message contains the password. */
function locationProblems(postgres: string, schema: string): readonly OptionProblem[] {
  try {
    postgresLocation({ postgres, schema });
    return [];
  } catch (error) {
    if (CastellanError.is(error, "INVALID_OPTIONS")) return error.details.problems;
    throw error;
  }
}

function withDefaults({
  postgres,
  schema,
  secret,
  patience: patienceMs,
  tls,
}: z.output<typeof connectSchema>): ConnectSettings {
  const secrets = typeof secret === "string" ? [secret] : secret;
  return { postgres, schema, secrets, patienceMs, tls };
}
