import type { CastellanClient } from "../../client/index.ts";
import type { ChildState, ChildSummary } from "../../wire/tree.ts";

/** What a person can do with a child of the root supervisor, as in OTP. */
export type ChildAction = "terminate" | "restart" | "delete";

interface ChildActionFacts {
  readonly label: string;
  /** In the past, for reports. */
  readonly done: string;
  /** What is lost, as a question's explanation; undefined if nothing is. */
  readonly loses: (child: ChildSummary) => string | undefined;
  readonly applies: (state: ChildState) => boolean;
}

const isStopped = (state: ChildState): boolean => state === "terminated" || state === "quarantined";

/** All actions, in the order of buttons. */
export const CHILD_ACTIONS: Readonly<Record<ChildAction, ChildActionFacts>> = {
  restart: {
    label: "Restart child",
    done: "restarted",
    loses: () => undefined,
    applies: isStopped,
  },
  terminate: {
    label: "Terminate child",
    done: "terminated",
    loses: ({ type }) => {
      const what =
        type === "supervisor"
          ? "It and all its children stop, with their running and waiting turns."
          : "It stops, with its running and waiting turns.";
      return `${type === "worker" ? "It stops." : what} Its spec stays, so that it can be restarted.`;
    },
    applies: (state) => !isStopped(state),
  },
  delete: {
    label: "Delete child",
    done: "deleted",
    loses: () =>
      "Its spec is gone until the application starts again or applies its configuration. Conversations are kept.",
    applies: isStopped,
  },
};

/** The actions that apply to a child. @param scopes those of the caller */
export function childActions({ type, state }: ChildSummary, scopes: readonly string[]): readonly ChildAction[] {
  // A template and a pool have no process of their own.
  if (!scopes.includes("operate") || type === "template" || type === "pool") return [];
  return (Object.keys(CHILD_ACTIONS) as ChildAction[]).filter((action) => CHILD_ACTIONS[action].applies(state));
}

/** Carries out an action. @throws CastellanApiError */
export async function actOnChild(client: CastellanClient, action: ChildAction, { id }: ChildSummary): Promise<void> {
  if (action === "restart") await client.restartChild(id);
  else if (action === "terminate") await client.terminateChild(id);
  else await client.deleteChild(id);
}
