import type { Supervisor } from "../../application/supervisor.ts";
import type { Clock } from "../../clock.ts";
import { type CastellanEvents, on } from "../../events.ts";
import { withoutUndefined } from "../../fields.ts";
import { GLOBAL } from "../../session/options/global-name.ts";
import type { SupervisorEventFields, SupervisorEventQuery, SupervisorEventType } from "../../wire/supervisor-event.ts";
import { EventBuffer } from "../http/event-buffer.ts";
import type { ServerEvent } from "../http/sse.ts";
import { type ShowName, shownNames } from "./shown-name.ts";
import { wireError } from "./shown-turn.ts";

/** The last frame of a stream before the server stops. */
export const RECONNECT: ServerEvent = { event: "reconnect", data: { type: "reconnect" } };

type PublishedType = Exclude<SupervisorEventType, "opened">;

type Facts<Type extends PublishedType> = CastellanEvents[`castellan:${Type}`];

type ShowTable = {
  readonly [Type in PublishedType]: (facts: Facts<Type>, show: ShowName) => SupervisorEventFields[Type];
};

interface OfSession {
  readonly session: CastellanEvents["castellan:session:start"]["session"];
}

type OfTurn = Pick<CastellanEvents["castellan:turn:accept"], "session" | "turnId" | "origin">;

type OfBorrower = Pick<CastellanEvents["castellan:pool:wait"], "pool" | "id" | "wants">;

type OfNode = Pick<CastellanEvents["castellan:node:join"], "node" | "boot">;

const session = (facts: OfSession, show: ShowName) => ({ session: show(facts.session) });

const turn = (facts: OfTurn, show: ShowName) => ({
  ...session(facts, show),
  turnId: facts.turnId,
  origin: facts.origin,
});

const borrower = ({ pool, id, wants }: OfBorrower) => ({ pool, id, wants });

const node = ({ node, boot }: OfNode) => ({ node, boot });

/** The fields of each event as the API shows them. */
const SHOWN: ShowTable = {
  "session:start": session,
  "session:state": (facts, show) => ({ ...session(facts, show), state: facts.state }),
  "session:restart": (facts, show) => ({ ...session(facts, show), exit: facts.exit, restarts: facts.restarts }),
  "session:rekey": session,
  "session:fault": (facts, show) => {
    const { kind, server, reason } = facts;
    return { ...session(facts, show), kind, reason, ...withoutUndefined({ server }) };
  },
  "session:quarantine": (facts, show) => ({ ...session(facts, show), lastExits: facts.lastExits }),
  "session:stop": (facts, show) => ({ ...session(facts, show), as: facts.as }),
  "activation:start": (facts, show) => {
    const { pid, activation, conversationId, durationMs, resumed, spare } = facts;
    const known = withoutUndefined({ pid });
    return { ...session(facts, show), ...known, activation, conversationId, durationMs, resumed, spare };
  },
  "activation:end": (facts, show) => ({ ...session(facts, show), exit: facts.exit, uptimeMs: facts.uptimeMs }),
  "turn:accept": (facts, show) => ({ ...turn(facts, show), recovered: facts.recovered }),
  "turn:begin": (facts, show) => {
    const { promptId, attempt, queuedMs, conversationId, model } = facts;
    return { ...turn(facts, show), promptId, attempt, queuedMs, conversationId, ...withoutUndefined({ model }) };
  },
  "turn:end": (facts, show) => {
    const { state, left, attempts, durationMs, reply, error } = facts;
    const { costUsd, usage, stopReason } = reply ?? {};
    const outcome = withoutUndefined({ costUsd, usage, stopReason, error: error && wireError(error) });
    return { ...turn(facts, show), state, left, attempts, durationMs, ...outcome };
  },
  "approval:request": (facts, show) => ({ ...session(facts, show), id: facts.id, tool: facts.tool }),
  "approval:settle": (facts, show) => ({ ...session(facts, show), id: facts.id, outcome: facts.outcome }),
  "capacity:wait": session,
  "capacity:end": (facts, show) => ({ ...session(facts, show), waitedMs: facts.waitedMs, granted: facts.granted }),
  "pool:wait": borrower,
  "pool:leave": (facts) => ({ ...borrower(facts), waitedMs: facts.waitedMs, granted: facts.granted }),
  "pool:exhausted": (facts) => ({ ...borrower(facts), waitedMs: facts.waitedMs }),
  "pool:checkout": (facts, show) => ({
    ...borrower(facts),
    member: show(facts.member),
    waitedMs: facts.waitedMs,
  }),
  "pool:checkin": (facts, show) => {
    const { member, heldMs, why } = facts;
    return { ...borrower(facts), member: show(member), heldMs, why };
  },
  "pool:add": ({ pool, member }, show) => ({ pool, member: show(member) }),
  "pool:remove": ({ pool, member, why }, show) => ({ pool, member: show(member), why }),
  "node:join": node,
  "node:lose": (facts) => ({ ...node(facts), error: wireError(facts.error), sessions: facts.sessions }),
  "node:leave": node,
  "database:failover": (facts) => ({ ...node(facts), era: facts.era }),
  "clock:skew": ({ aheadMs, over, ...facts }) => ({ ...node(facts), aheadMs, over }),
  "supervisor:handover": ({ sessions, waitedMs }) => ({ sessions, waitedMs }),
  "database:gap": ({ location, content, count, lost }) => ({ location, content, count, lost }),
  "webhook:attempt": ({ endpoint, id, type, attempt, outcome, status, durationMs }) => {
    return { endpoint, id, type, attempt, outcome, durationMs, ...withoutUndefined({ status }) };
  },
  "webhook:drop": (facts, show) => {
    const { endpoint, reason, event } = facts;
    return { endpoint, ...session(facts, show), reason, event };
  },
  "global:claim": (facts, show) => ({ ...node(facts), ...session(facts, show), epoch: facts.epoch }),
  "global:release": (facts, show) => ({ ...node(facts), ...session(facts, show), epoch: facts.epoch }),
};

/**
 * Returns the frames of a supervisor's events from now on. A process publishes the events of all its supervisors, so those of
 * another one are left out, unless both have no name; events of nodes, databases and webhooks name none, and are those of all.
 */
export function supervisorFrames(
  supervisor: Supervisor,
  { types }: SupervisorEventQuery,
  clock: Clock,
  signal: AbortSignal,
): AsyncIterable<readonly ServerEvent[]> {
  const buffer = new EventBuffer();
  const show = shownNames(supervisor);
  const own = new Set([supervisor.eventName, `${supervisor.eventName}/${GLOBAL}`]);
  const push = (event: SupervisorEventType, fields: object): void =>
    buffer.push({ event, data: { type: event, at: clock.now(), ...fields } });
  push("opened", {});
  const listen = <Type extends PublishedType>(type: Type): (() => void) =>
    on(`castellan:${type}`, (facts: Facts<Type>) => {
      if ("supervisor" in facts && !own.has(facts.supervisor)) return;
      push(type, SHOWN[type](facts, show));
    });
  const published = Object.keys(SHOWN) as PublishedType[];
  const unsubscribes = published.filter((type) => types?.includes(type) ?? true).map((type) => listen(type));
  const leave = (): void => {
    for (const unsubscribe of unsubscribes) unsubscribe();
    buffer.end();
  };
  if (signal.aborted) leave();
  else signal.addEventListener("abort", leave, { once: true });
  return buffer;
}
