import type { HallSession } from "../cluster/hall.ts";
import type { HallGround, HallParts } from "../cluster/join.ts";
import { CastellanError } from "../errors.ts";
import { formatName, nameKey, type SessionName } from "../names.ts";
import { GLOBAL } from "../session/global-name.ts";
import type { SessionDefaults } from "../session/options.ts";
import { sessionSettings } from "../session/session-settings.ts";
import { invalidOptions } from "../session/validation.ts";
import type { ChildOptions } from "./child-options.ts";
import { eraseFiles } from "./erasing.ts";
import type { GlobalChildren } from "./global-children.ts";
import { hallSession } from "./hall-session.ts";
import type { Supervisor } from "./supervisor.ts";
import type { SupervisorOptions, SupervisorSettings } from "./supervisor-options.ts";
import { template } from "./template.ts";

/** How many global sessions a node has in memory at the most; those that hibernate are let go long before. */
const MOST_SESSIONS = 1_000_000;

/** How the supervisor of a hall is started, and one of its sessions ended so that another node can go on with it. */
export interface HallMeans {
  start(children: readonly ChildOptions[], options: SupervisorOptions): Promise<Supervisor>;
  handOver(supervisor: Supervisor, name: SessionName, deadlineMs: number): Promise<void>;
  newId(): string;
}

/**
 * Makes room for the global sessions of one run of a node: a supervisor of their own, whose journal and transcripts are the
 * cluster's. They come to life by their names, as those of a template.
 *
 * @param children what they are to be, asked anew for each
 */
export async function openGlobalHall(
  children: () => GlobalChildren,
  { journal, node, owns, storeOf }: HallGround,
  { name, given, cluster, logger }: SupervisorSettings,
  { start, handOver, newId }: HallMeans,
): Promise<HallParts> {
  const { keeping } = children();
  // What a turn has done is to be known when its node is lost in the middle of it.
  const flush = given.defaults?.sessionStoreFlush === undefined ? { sessionStoreFlush: "eager" as const } : {};
  const sessions = template(
    GLOBAL,
    (...key: readonly (string | number | undefined)[]) => {
      const session = [GLOBAL, ...key] as SessionName;
      // Asked for past the cluster, by the name of this process; what it would write nobody would take.
      if (!owns(nameKey(session))) throw notOwned(session);
      const options = children().optionsOf(session);
      if (options === undefined) throw unknown(session);
      if (options.sessionStore !== undefined) throw ownStore(session);
      return { ...flush, ...options, sessionStore: storeOf(nameKey(session)) };
    },
    { maxSessions: MOST_SESSIONS, maxHibernated: keeping.maxHibernated, retention: keeping.retentionMs },
  );
  const { maxProcesses } = cluster ?? {};
  const supervisor = await start([sessions], {
    name: `${name ?? "supervisor"}/${GLOBAL}`,
    journal,
    ...(given.defaults === undefined ? {} : { defaults: given.defaults }),
    ...(maxProcesses === undefined ? {} : { capacity: { maxProcesses } }),
    ...(logger === undefined ? {} : { logger }),
  }).catch((error: unknown) => {
    throw CastellanError.is(error, "SESSION_ALREADY_STARTED") ? secondNode(error) : error;
  });
  return {
    session: (session): HallSession => {
      // What nobody knows is told apart from what cannot be started.
      if (!children().knows(session)) throw unknown(session);
      return hallSession(supervisor, session, node);
    },
    get load() {
      const { processes, waiting } = supervisor.capacity();
      return processes + waiting;
    },
    release: (session, deadlineMs) => handOver(supervisor, session, deadlineMs),
    eraseFiles: async (session, conversations, memory) => {
      const options = optionsOrNone(() => children().optionsOf(session));
      const settings = sessionSettings({ ...options, name: session }, given.defaults ?? {});
      return await eraseFiles(settings, conversations, memory, newId());
    },
    closed: supervisor.closed,
    stop: () => supervisor.stop(),
  };
}

/** Whoever is to be erased may be gone already for the function that makes the options. */
function optionsOrNone(options: () => SessionDefaults | undefined): SessionDefaults {
  try {
    return options() ?? {};
  } catch {
    return {};
  }
}

/** The names of a process are one set, and so are those of the global sessions that are in it. */
function secondNode(cause: CastellanError<"SESSION_ALREADY_STARTED">): CastellanError<"SESSION_ALREADY_STARTED"> {
  const { details } = cause;
  const message = `This process is a node of a cluster already, by ${details.supervisor}, or has a template or a pool ${JSON.stringify(GLOBAL)}; it can be one node only.`;
  return new CastellanError("SESSION_ALREADY_STARTED", message, { details, cause });
}

function unknown(name: SessionName): CastellanError<"SESSION_NOT_FOUND"> {
  const message = `There is no global session ${formatName(name)}: no child of this node's supervisor declares it, and no template has its name.`;
  return new CastellanError("SESSION_NOT_FOUND", message, { details: { nearMisses: [] } });
}

function notOwned(name: SessionName): CastellanError<"SESSION_NOT_FOUND"> {
  const message = `Session ${formatName(name)} is global and not on this node; ask for it by \`global(…)\`.`;
  return new CastellanError("SESSION_NOT_FOUND", message, { details: { nearMisses: [] } });
}

function ownStore(name: SessionName): CastellanError {
  const message = "cannot be given for a global session, whose transcripts are in the cluster's database";
  return invalidOptions(`session ${formatName(name)}`, [{ field: "sessionStore", message }]);
}
