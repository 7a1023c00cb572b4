import type { CastellanClient } from "../../client/index.ts";
import type { SessionInfo } from "../../wire/session.ts";
import { messageOf } from "./shown-name.ts";

/** What a person can do with sessions of the list. */
export type Action = "wake" | "hibernate" | "interrupt" | "restart" | "stop";

/** An action as the page shows it. */
export interface ActionFacts {
  readonly label: string;
  /** In the past, for reports: `restarted`. */
  readonly done: string;
  /** What is lost, as a question's explanation; undefined if nothing is. @param busy the number of sessions with a running turn */
  readonly loses: (busy: number) => string | undefined;
  readonly scope: "operate" | "talk";
  readonly applies: (session: SessionInfo) => boolean;
}

const inMemory = ({ status }: SessionInfo): boolean => status !== undefined;

/** All actions, in the order of menus. */
export const ACTIONS: Readonly<Record<Action, ActionFacts>> = {
  wake: {
    label: "Wake",
    done: "woken",
    loses: () => undefined,
    scope: "operate",
    applies: ({ state }) => state === "hibernated",
  },
  hibernate: {
    label: "Hibernate",
    done: "hibernated",
    loses: () => undefined,
    scope: "operate",
    applies: ({ state }) => state === "idle",
  },
  interrupt: {
    label: "Interrupt",
    done: "interrupted",
    loses: () => "The running turn ends without its answer. Waiting turns go on.",
    scope: "talk",
    applies: ({ status }) => status?.turn !== undefined,
  },
  restart: {
    label: "Restart",
    done: "restarted",
    loses: (busy) => {
      if (busy === 0) return undefined;
      return "A turn that runs is cut. It is tried again only if it has changed nothing yet. The conversation is kept.";
    },
    scope: "operate",
    applies: inMemory,
  },
  stop: {
    label: "Stop",
    done: "stopped",
    loses: () => "The session ends, with its running and waiting turns. The conversation is kept.",
    scope: "operate",
    applies: (session) => inMemory(session) && session.state !== "stopped",
  },
};

/** The actions in the order of menus. */
export const ACTION_NAMES: readonly Action[] = Object.keys(ACTIONS) as Action[];

/** Carries out an action. @throws CastellanApiError */
export async function act(client: CastellanClient, action: Action, { name }: SessionInfo): Promise<void> {
  const session = client.session(name);
  if (action === "wake") await session.wake();
  else if (action === "hibernate") await session.hibernate();
  else if (action === "interrupt") await session.interrupt();
  else if (action === "restart") await session.restart();
  else await session.stop();
}

/** How an action on several sessions went. */
export interface ActionReport {
  readonly done: number;
  readonly failed: readonly { readonly session: SessionInfo; readonly message: string }[];
}

/** Carries out an action on several sessions, four at a time. One failure does not stop the others. */
export async function actOnAll(
  sessions: readonly SessionInfo[],
  one: (session: SessionInfo) => Promise<void>,
): Promise<ActionReport> {
  const left = [...sessions].reverse();
  const failed: { readonly session: SessionInfo; readonly message: string }[] = [];
  const work = async (): Promise<void> => {
    for (let session = left.pop(); session !== undefined; session = left.pop()) {
      try {
        await one(session);
      } catch (error) {
        failed.push({ session, message: messageOf(error) });
      }
    }
  };
  await Promise.all(Array.from({ length: 4 }, work));
  return { done: sessions.length - failed.length, failed };
}
